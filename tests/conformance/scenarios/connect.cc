#include <netdb.h>
#include <netinet/in.h>

#include <chrono>
#include <utility>

#include "tests/conformance/scenarios/scenarios.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

void ConnectionMadeBeforeCreateConnectionReturns(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.NoteState();
  client.Note("protocol", client.transport().GetProtocol() == client.AsProtocol());
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void DataWaitingComesAfterCreateConnectionReturned(Stage& s) {
  const Listener listener = s.Listen();
  Tracing& client = s.NewProtocol("client");
  // Sent as soon as the kernel has the connection.
  auto greeting = s.StartAccept(listener, "peer", [](Peer& peer) { peer.Send("hello"); });
  s.Connect(client, s.Remote(listener.port));
  s.Wait(std::move(greeting));
  s.Until([&] { return client.received_bytes() == 5; });
  client.transport().Close();
  s.UntilLost(client);
}

void ExtraInfoSurvivesConnectionLost(Stage& s) {
  Tracing& client = s.Pair();
  client.transport().Close();
  s.UntilLost(client);
  client.Note("peername " + s.AddressText(client.transport().GetExtraInfo().peername));
  client.Note("sockname " + s.AddressText(client.transport().GetExtraInfo().sockname));
  client.NoteState();
}

void ConnectRefused(Stage& s) {
  Tracing& client = s.NewProtocol("client");
  s.Connect(client, s.Remote(s.ClosedPort()));
}

void ConnectRefusedAtEveryAddress(Stage& s) {
  CreateConnectionOptions options = Stage::BothLoopbacks(s.ClosedPort());
  s.Connect(s.NewProtocol("client"), options);
}

void ConnectTakesTheSecondAddressWhenTheFirstRefuses(Stage& s) {
  const Listener listener = s.ListenOnV4Only();
  CreateConnectionOptions options = Stage::BothLoopbacks(listener.port);
  Tracing& client = s.NewProtocol("client");
  s.Connect(client, options);
  Peer& peer = s.Accept(listener);
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void HappyEyeballsTakesTheSecondAddressWhenTheFirstRefuses(Stage& s) {
  const Listener listener = s.ListenOnV4Only();
  CreateConnectionOptions options = Stage::BothLoopbacks(listener.port);
  options.happy_eyeballs_delay = std::chrono::seconds(10);
  Tracing& client = s.NewProtocol("client");
  s.Connect(client, options);
  Peer& peer = s.Accept(listener);
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void HappyEyeballsRefusedAtEveryAddress(Stage& s) {
  CreateConnectionOptions options = Stage::BothLoopbacks(s.ClosedPort());
  options.happy_eyeballs_delay = std::chrono::seconds(10);
  s.Connect(s.NewProtocol("client"), options);
}

void LocalAddressIsUsed(Stage& s) {
  const Listener listener = s.Listen();
  CreateConnectionOptions options = s.Remote(listener.port);
  options.local = HostPort{.host = s.is_v4() ? "127.0.0.2" : "::1", .port = 0};
  Tracing& client = s.NewProtocol("client");
  s.Connect(client, options);
  s.Accept(listener);
  client.transport().Close();
  s.UntilLost(client);
}

void LocalAddressInUse(Stage& s) {
  const Listener listener = s.Listen();
  const Listener taken = s.Listen("taken");
  CreateConnectionOptions options = s.Remote(listener.port);
  options.local = HostPort{.host = s.host(), .port = taken.port};
  s.Connect(s.NewProtocol("client"), options);
}

void PortOutOfRange(Stage& s) {
  Tracing& client = s.NewProtocol("client");
  s.Connect(client, s.Remote(70'000));
}

void ConnectFamilyChoosesTheAddresses(Stage& s) {
  CreateConnectionOptions options = Stage::BothLoopbacks(s.ClosedPort());
  options.family = AddressFamily::kInet;
  s.Connect(s.NewProtocol("inet"), options);
  options.family = AddressFamily::kInet6;
  s.Connect(s.NewProtocol("inet6"), options);
}

void ConnectFlagsAndProtoAreTheLookUps(Stage& s) {
  const Listener listener = s.Listen();
  CreateConnectionOptions options = s.Remote(listener.port);
  options.proto = IPPROTO_TCP;
  Tracing& client = s.NewProtocol("client");
  s.Connect(client, options);
  s.Accept(listener);
  client.transport().Close();
  s.UntilLost(client);
  options = s.Remote(listener.port);
  options.remote.host = "a-name.invalid";
  options.flags = AI_NUMERICHOST;
  s.Connect(s.NewProtocol("no_number"), options);
}

void ConnectInterleave(Stage& s) {
  CreateConnectionOptions options = Stage::BothLoopbacks(s.ClosedPort());
  options.happy_eyeballs_delay = std::chrono::seconds(10);
  for (const uint32_t first_family_count : {0u, 1u, 2u}) {
    options.interleave = first_family_count;
    s.Connect(s.NewProtocol(StrCat("client", first_family_count)), options);
  }
}

void ConnectCancelled(Stage& s) {
  // The backlog is full, so the kernel does not answer the second connection.
  const Listener listener = s.Listen("peer", 0);
  Peer& filler = s.Dial(listener.port, "filler");
  bool done = false;
  const OperationId connecting = s.BeginConnect(s.NewProtocol("client"), s.Remote(listener.port), done);
  s.Settle();
  s.loop().CancelOperation(connecting);
  s.Until([&] { return done; });
  filler.Close();
}

}  // namespace

void AddConnectScenarios(Scenarios& scenarios) {
  scenarios.insert(
      scenarios.end(),
      {
          {"connection_made_before_create_connection_returns", ConnectionMadeBeforeCreateConnectionReturns},
          {"data_waiting_comes_after_create_connection_returned", DataWaitingComesAfterCreateConnectionReturned},
          {"extra_info_survives_connection_lost", ExtraInfoSurvivesConnectionLost},
          {"connect_refused", ConnectRefused},
          {"connect_refused_at_every_address", ConnectRefusedAtEveryAddress},
          {"connect_takes_the_second_address_when_the_first_refuses", ConnectTakesTheSecondAddressWhenTheFirstRefuses},
          {"happy_eyeballs_takes_the_second_address_when_the_first_refuses",
           HappyEyeballsTakesTheSecondAddressWhenTheFirstRefuses},
          {"happy_eyeballs_refused_at_every_address", HappyEyeballsRefusedAtEveryAddress},
          {"local_address_is_used", LocalAddressIsUsed},
          {"local_address_in_use", LocalAddressInUse},
          {"port_out_of_range", PortOutOfRange},
          {"connect_family_chooses_the_addresses", ConnectFamilyChoosesTheAddresses},
          {"connect_flags_and_proto_are_the_look_ups", ConnectFlagsAndProtoAreTheLookUps},
          {"connect_interleave", ConnectInterleave},
          {"connect_cancelled", ConnectCancelled},
      });
}

}  // namespace transportd::conformance
