#include <netdb.h>

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/scenarios/scenarios.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

// Traces the hosts, sorted; returns the port of each.
std::map<std::string, uint16_t> NoteHosts(const Server& server, Trace& trace) {
  std::map<std::string, uint16_t> ports;
  for (const SocketAddress& address : server.Sockets()) ports[address.host] = address.port;
  for (const auto& [host, port] : ports) trace.Add("host " + host);
  return ports;
}

void StartServing(Stage& s, Server& server) {
  bool started = false;
  server.StartServing([&](absl::Status status) {
    EXPECT_TRUE(status.ok()) << status;
    started = true;
    s.Changed();
  });
  s.Until([&] { return started; });
}

// Closes the server, and its transports from the peers' side.
void End(Stage& s, Server& server, std::initializer_list<Peer*> peers) {
  s.CloseServer(server);
  for (Peer* peer : peers) {
    s.Run([&] {
      peer->Shutdown();
      peer->RecvAll();
    });
  }
  s.Until([&] { return s.ServersLost(); });
}

void ServerAcceptsInOrder(Stage& s) {
  const auto server = s.Serve();
  Peer& first = s.Dial(PortOf(*server), "peer1");
  Peer& second = s.Dial(PortOf(*server), "peer2");
  Peer& third = s.Dial(PortOf(*server), "peer3");
  s.Until([&] { return s.IsMade("server3"); });
  End(s, *server, {&first, &second, &third});
}

void ServerEchoes(Stage& s) {
  const auto server = s.Serve({.data = [](Tracing& p, std::string_view data) { p.Write(data); }});
  Peer& peer = s.Dial(PortOf(*server));
  s.Run([&] {
    peer.Send("hello");
    peer.Recv(5);
  });
  End(s, *server, {&peer});
}

void ServerSpeaksFirst(Stage& s) {
  const auto made = [](Tracing& p) {
    p.Write("welcome");
    p.transport().Close();
  };
  const auto server = s.Serve({.made = made});
  Peer& peer = s.Dial(PortOf(*server));
  s.Run([&] { peer.RecvAll(); });
  s.CloseServer(*server);
  s.UntilLost(s.Get("server1"));
}

void ServerAbortsInConnectionMade(Stage& s) {
  const auto server = s.Serve({.made = [](Tracing& p) { p.transport().Abort(); }});
  Peer& peer = s.Dial(PortOf(*server));
  s.Run([&] { peer.RecvAll(); });
  s.CloseServer(*server);
  s.UntilLost(s.Get("server1"));
}

void ServerPausesInConnectionMade(Stage& s) {
  const auto server = s.Serve({.made = [](Tracing& p) { p.transport().PauseReading(); }});
  Peer& peer = s.Dial(PortOf(*server));
  s.Run([&] {
    peer.Send("early");
    peer.Shutdown();
  });
  s.Until([&] { return s.IsMade("server1"); });
  s.Settle();
  Tracing& client = s.Get("server1");
  client.Note("received_bytes", client.received_bytes());
  client.transport().ResumeReading();
  s.UntilLost(client);
  s.CloseServer(*server);
  s.Run([&] { peer.RecvAll(); });
}

void ServerWithABufferedProtocol(Stage& s) {
  const auto server = s.Serve(s.Local(), [&s] { return s.NewBuffered("server1", 16).AsProtocol(); });
  Peer& peer = s.Dial(PortOf(*server));
  s.Run([&] {
    peer.Send(Pattern(1'000));
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(s.Get("server1"));
  s.CloseServer(*server);
}

void ServerOnPortZeroSaysItsPort(Stage& s) {
  Trace& trace = s.NewTrace("server");
  const auto server = s.Serve();
  trace.Add(StrCat("sockets ", server->Sockets().size()));
  trace.Add("host " + server->Sockets()[0].host);
  trace.Add(StrCat("has a port", " ", BoolText(PortOf(*server) > 0)));
  trace.Add(StrCat("is_serving", " ", BoolText(server->IsServing())));
  s.CloseServer(*server);
  trace.Add(StrCat("is_serving", " ", BoolText(server->IsServing())));
  trace.Add(StrCat("sockets ", server->Sockets().size()));
}

void ServerOnTwoHosts(Stage& s) {
  const std::vector<std::string> hosts = {"127.0.0.1", s.is_v4() ? "127.0.0.2" : "::1"};
  CreateServerOptions options = s.Local();
  options.hosts = hosts;
  const auto server = s.Serve(options, s.Factory());
  const auto ports = NoteHosts(*server, s.NewTrace("server"));
  Peer& first = s.Dial(ports.at(hosts[0]), "peer1", hosts[0]);
  s.Until([&] { return s.IsMade("server1"); });
  Peer& second = s.Dial(ports.at(hosts[1]), "peer2", hosts[1]);
  s.Until([&] { return s.IsMade("server2"); });
  End(s, *server, {&first, &second});
}

void ServerBindsARepeatedHostOnce(Stage& s) {
  CreateServerOptions options = s.Local();
  options.hosts = {s.host(), s.host()};
  const auto server = s.Serve(options, s.Factory());
  s.NewTrace("server").Add(StrCat("sockets ", server->Sockets().size()));
  s.CloseServer(*server);
}

void ServerOnAnEmptyHostListensEverywhere(Stage& s) {
  CreateServerOptions options = s.Local();
  options.hosts = {""};
  const auto server = s.Serve(options, s.Factory());
  const auto ports = NoteHosts(*server, s.NewTrace("server"));
  Peer& first = s.Dial(ports.at("0.0.0.0"), "peer1", "127.0.0.1");
  s.Until([&] { return s.IsMade("server1"); });
  Peer& second = s.Dial(ports.at("::"), "peer2", "::1");
  s.Until([&] { return s.IsMade("server2"); });
  End(s, *server, {&first, &second});
}

void ServerAddressInUse(Stage& s) {
  const Listener taken = s.Listen("taken");
  CreateServerOptions options = s.Local();
  options.port = taken.port;
  s.Serve(options, s.Factory(), &s.NewTrace("server"));
}

void ServerPortOutOfRange(Stage& s) {
  CreateServerOptions options = s.Local();
  options.port = 70'000;
  s.Serve(options, s.Factory(), &s.NewTrace("server"));
}

void ServerCloseKeepsConnections(Stage& s) {
  const auto server = s.Serve({.data = [](Tracing& p, std::string_view data) { p.Write(data); }});
  const auto port = PortOf(*server);
  Peer& peer = s.Dial(port);
  s.Until([&] { return s.IsMade("server1"); });
  s.CloseServer(*server);
  s.CloseServer(*server);
  s.Dial(port, "late peer");
  s.Run([&] {
    peer.Send("still there?");
    peer.Recv(12);
  });
  End(s, *server, {&peer});
}

void ServerDoesNotListenUntilStartServing(Stage& s) {
  Trace& trace = s.NewTrace("server");
  CreateServerOptions options = s.Local();
  options.start_serving = false;
  const auto server = s.Serve(options, s.Factory());
  const uint16_t port = PortOf(*server);
  trace.Add(StrCat("is_serving", " ", BoolText(server->IsServing())));
  s.Dial(port, "early peer");
  StartServing(s, *server);
  trace.Add(StrCat("is_serving", " ", BoolText(server->IsServing())));
  StartServing(s, *server);
  Peer& peer = s.Dial(port);
  s.Until([&] { return s.IsMade("server1"); });
  End(s, *server, {&peer});
}

void ServerWaitClosedWaitsForConnections(Stage& s) {
  Trace& trace = s.NewTrace("server");
  const auto server = s.Serve();
  Peer& peer = s.Dial(PortOf(*server));
  s.Until([&] { return s.IsMade("server1"); });
  bool waited = false;
  server->WaitClosed([&] {
    trace.Add("wait_closed returns");
    waited = true;
    s.Changed();
  });
  s.CloseServer(*server);
  s.Settle();
  trace.Add(StrCat("is waiting", " ", BoolText(!waited)));
  s.Run([&] {
    peer.Shutdown();
    peer.RecvAll();
  });
  s.Until([&] { return s.Get("server1").lost() && waited; });
}

void ServerWaitClosedWaitsForClose(Stage& s) {
  Trace& trace = s.NewTrace("server");
  const auto server = s.Serve();
  int waited = 0;
  const auto count = [&] {
    trace.Add("wait_closed returns");
    ++waited;
    s.Changed();
  };
  server->WaitClosed(count);
  s.Settle();
  trace.Add(StrCat("is waiting", " ", BoolText(waited == 0)));
  s.CloseServer(*server);
  s.Until([&] { return waited == 1; });
  server->WaitClosed(count);
  s.Until([&] { return waited == 2; });
}

void ServerTransportSendsMuch(Stage& s) {
  const auto made = [](Tracing& p) {
    p.Write(Pattern(16'000'000));
    p.transport().Close();
  };
  const auto server = s.Serve({.made = made});
  Peer& peer = s.Dial(PortOf(*server));
  s.Run([&] { peer.RecvAll(); });
  s.CloseServer(*server);
  s.UntilLost(s.Get("server1"));
}

void ServersWithReusePortShareAPort(Stage& s) {
  CreateServerOptions options = s.Local();
  options.reuse_port = true;
  const auto first = s.Serve(options, s.Factory());
  options.port = PortOf(*first);
  const auto second = s.Serve(options, s.Factory());
  options.reuse_port = false;
  Trace& trace = s.NewTrace("server");
  EXPECT_EQ(s.Serve(options, s.Factory(), &trace), nullptr);
  s.CloseServer(*first);
  s.CloseServer(*second);
}

void ServerFamilyChoosesTheAddresses(Stage& s) {
  Trace& trace = s.NewTrace("server");
  for (const AddressFamily family : {AddressFamily::kInet, AddressFamily::kInet6}) {
    CreateServerOptions options = s.Local();
    options.hosts = {};
    options.family = family;
    const auto server = s.Serve(options, s.Factory());
    NoteHosts(*server, trace);
    s.CloseServer(*server);
  }
}

void ServerFlagsAreTheLookUps(Stage& s) {
  CreateServerOptions options = s.Local();
  options.hosts = {"a-name.invalid"};
  options.flags = AI_NUMERICHOST;
  s.Serve(options, s.Factory(), &s.NewTrace("server"));
}

void ServerReuseAddressIsTheSockets(Stage& s) {
  Trace& trace = s.NewTrace("server");
  for (const bool reuse_address : {true, false}) {
    CreateServerOptions options = s.Local();
    options.reuse_address = reuse_address;
    const auto server = s.Serve(options, s.Factory());
    trace.Add("SO_REUSEADDR " + OptionText(s, *server, SocketOption::kSoReuseaddr));
    s.CloseServer(*server);
  }
}

void ServerBacklogOfOne(Stage& s) {
  CreateServerOptions options = s.Local();
  options.backlog = 1;
  const auto server = s.Serve(options, s.Factory());
  Peer& first = s.Dial(PortOf(*server), "peer1");
  Peer& second = s.Dial(PortOf(*server), "peer2");
  s.Until([&] { return s.IsMade("server2"); });
  End(s, *server, {&first, &second});
}

// Python has it since 3.13.
void ServerKeepAliveIsTheAcceptedSockets(Stage& s) {
  for (const bool keep_alive : {false, true}) {
    CreateServerOptions options = s.Local();
    options.keep_alive = keep_alive;
    const std::string name = keep_alive ? "server_kept" : "server_plain";
    const auto server = s.Serve(options, [&] { return s.NewProtocol(name).AsProtocol(); });
    Peer& peer = s.Dial(PortOf(*server), "peer_of_" + name);
    s.Until([&] { return s.IsMade(name); });
    EXPECT_EQ(OptionText(s, s.Get(name).transport(), SocketOption::kSoKeepalive), keep_alive ? "1" : "0");
    End(s, *server, {&peer});
  }
}

}  // namespace

void AddServerScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(),
                   {
                       {"server_accepts_in_order", ServerAcceptsInOrder},
                       {"server_echoes", ServerEchoes},
                       {"server_speaks_first", ServerSpeaksFirst},
                       {"server_aborts_in_connection_made", ServerAbortsInConnectionMade},
                       {"server_pauses_in_connection_made", ServerPausesInConnectionMade},
                       {"server_with_a_buffered_protocol", ServerWithABufferedProtocol},
                       {"server_on_port_zero_says_its_port", ServerOnPortZeroSaysItsPort},
                       {"server_on_two_hosts", ServerOnTwoHosts},
                       {"server_binds_a_repeated_host_once", ServerBindsARepeatedHostOnce},
                       {"server_on_an_empty_host_listens_everywhere", ServerOnAnEmptyHostListensEverywhere},
                       {"server_address_in_use", ServerAddressInUse},
                       {"server_port_out_of_range", ServerPortOutOfRange},
                       {"server_close_keeps_connections", ServerCloseKeepsConnections},
                       {"server_does_not_listen_until_start_serving", ServerDoesNotListenUntilStartServing},
                       {"server_wait_closed_waits_for_connections", ServerWaitClosedWaitsForConnections},
                       {"server_wait_closed_waits_for_close", ServerWaitClosedWaitsForClose},
                       {"server_transport_sends_much", ServerTransportSendsMuch},
                       {"servers_with_reuse_port_share_a_port", ServersWithReusePortShareAPort},
                       {"server_family_chooses_the_addresses", ServerFamilyChoosesTheAddresses},
                       {"server_flags_are_the_look_ups", ServerFlagsAreTheLookUps},
                       {"server_reuse_address_is_the_sockets", ServerReuseAddressIsTheSockets},
                       {"server_backlog_of_one", ServerBacklogOfOne},
                       {"server_keep_alive_is_the_accepted_sockets", ServerKeepAliveIsTheAcceptedSockets,
                        /*has_oracle=*/false},
                   });
}

}  // namespace transportd::conformance
