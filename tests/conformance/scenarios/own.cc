// What asyncio (of the Python that the tests run) has no equal for.
#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/scenarios/scenarios.h"
#include "transports/api/error.h"

namespace transportd::conformance {

namespace {

void AbortWithResetSendsRst(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().Abort(/*reset=*/true);
  s.UntilLost(client);
  EXPECT_EQ(client.end().cause, EndCause::kLocalAbort);
  s.Run([&] { peer.RecvAll(); });
  EXPECT_THAT(s.traces().at("peer").lines(), testing::ElementsAre("recv_all \"\" then ECONNRESET"));
}

void EndOfPeerIsEof(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write("12345");
  s.Run([&] {
    peer.Recv(5);
    peer.Send("123");
    peer.Close();
  });
  s.UntilLost(client);
  EXPECT_EQ(client.end().cause, EndCause::kEof);
  EXPECT_TRUE(client.end().status.ok());
  EXPECT_EQ(client.end().sent_bytes, 5u);
  EXPECT_EQ(client.end().received_bytes, 3u);
  EXPECT_EQ(client.end().dropped_bytes, 0u);
}

void EndByCloseIsLocalClose(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
  EXPECT_EQ(client.end().cause, EndCause::kLocalClose);
  EXPECT_TRUE(client.end().status.ok());
  EXPECT_EQ(client.end().sent_bytes, 16'000'000u);
  EXPECT_EQ(client.end().dropped_bytes, 0u);
  EXPECT_EQ(client.transport().SentBytes(), 16'000'000u);
}

void EndByAbortCountsWhatWasDropped(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Abort();
  s.UntilLost(client);
  EXPECT_EQ(client.end().cause, EndCause::kLocalAbort);
  EXPECT_TRUE(client.end().status.ok());
  EXPECT_GT(client.end().dropped_bytes, 0u);
  EXPECT_EQ(client.end().sent_bytes + client.end().dropped_bytes, 16'000'000u);
  s.Run([&] { peer.Drain(); });
  EXPECT_LE(peer.received_bytes(), client.end().sent_bytes);
}

void EndByResetTellsTheErrno(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] { peer.Reset(); });
  s.UntilLost(client);
  EXPECT_EQ(client.end().cause, EndCause::kReset);
  const TransportError error = ToTransportError(client.end().status);
  EXPECT_EQ(error.errno_number, ECONNRESET);
  EXPECT_EQ(error.reason, "ECONNRESET");
}

void EndOfAHalfOpenConnectionIsBrokenPipe(Stage& s) {
  Tracing& client = s.Pair({.eof = [](Tracing&) { return true; }});
  Peer& peer = s.peer();
  s.Run([&] { peer.Close(); });
  s.Until([&] { return client.got_eof(); });
  while (!client.lost()) {
    client.Write("x");
    s.Settle();
  }
  EXPECT_EQ(client.end().cause, EndCause::kBrokenPipe);
  EXPECT_EQ(ToTransportError(client.end().status).errno_number, EPIPE);
}

void ConnectTimesOut(Stage& s) {
  // The backlog is full, so the kernel does not answer the second connection.
  const Listener listener = s.Listen("peer", 0);
  Peer& filler = s.Dial(listener.port, "filler");
  CreateConnectionOptions options = s.Remote(listener.port);
  options.timeout = std::chrono::milliseconds(50);
  s.Connect(s.NewProtocol("client"), options);
  filler.Close();
  EXPECT_THAT(s.traces().at("client").lines(), testing::ElementsAre("create_connection CONNECT_TIMEOUT"));
}

void HappyEyeballsPassesOverAnAddressThatDoesNotAnswer(Stage& s) {
  // ::1, which is first, has a full backlog; 127.0.0.1 answers.
  Listener silent;
  const Listener listener = s.ListenOnBoth(silent);
  Peer& filler = s.Dial(listener.port, "filler", "::1");
  CreateConnectionOptions options = Stage::BothLoopbacks(listener.port);
  options.happy_eyeballs_delay = std::chrono::milliseconds(20);
  Tracing& client = s.NewProtocol("client");
  s.Connect(client, options);
  ASSERT_TRUE(client.made());
  EXPECT_EQ(client.transport().GetExtraInfo().peername->host, "127.0.0.1");
  s.Accept(listener);
  client.transport().Close();
  s.UntilLost(client);
  filler.Close();
}

// Three peers with their transports.
std::vector<Peer*> DialThree(Stage& s, const Server& server) {
  std::vector<Peer*> peers;
  for (const char* name : {"peer1", "peer2", "peer3"}) peers.push_back(&s.Dial(server.Sockets()[0].port, name));
  s.Until([&] { return s.IsMade("server3"); });
  return peers;
}

void CloseClientsClosesEveryAcceptedTransport(Stage& s) {
  const auto server = s.Serve({.made = [](Tracing& p) { p.Write("welcome"); }});
  const std::vector<Peer*> peers = DialThree(s, *server);
  size_t closed_count = 0;
  server->CloseClients([&](size_t count) {
    closed_count = count;
    s.Changed();
  });
  s.Until([&] { return s.ServersLost() && closed_count > 0; });
  EXPECT_EQ(closed_count, 3u);
  EXPECT_EQ(s.Get("server1").end().cause, EndCause::kLocalClose);
  for (Peer* peer : peers) s.Run([&] { peer->RecvAll(); });
  EXPECT_THAT(s.traces().at("peer2").lines(), testing::ElementsAre("connect", "recv_all \"welcome\" then eof"));
  EXPECT_TRUE(server->IsServing());
  s.CloseServer(*server);
}

void AbortClientsAbortsEveryAcceptedTransport(Stage& s) {
  const auto server = s.Serve({.made = [](Tracing& p) {
    p.SetHigh(64'000'000);
    p.Write(Pattern(16'000'000));
  }});
  const std::vector<Peer*> peers = DialThree(s, *server);
  size_t aborted_count = 0;
  server->AbortClients([&](size_t count) {
    aborted_count = count;
    s.Changed();
  });
  s.Until([&] { return s.ServersLost() && aborted_count > 0; });
  EXPECT_EQ(aborted_count, 3u);
  EXPECT_EQ(s.Get("server3").end().cause, EndCause::kLocalAbort);
  EXPECT_GT(s.Get("server3").end().dropped_bytes, 0u);
  for (Peer* peer : peers) s.Run([&] { peer->Drain(); });
  s.CloseServer(*server);
}

void CloseClientsOfAClosedServer(Stage& s) {
  const auto server = s.Serve();
  const std::vector<Peer*> peers = DialThree(s, *server);
  s.CloseServer(*server);
  bool waited = false;
  server->WaitClosed([&] {
    waited = true;
    s.Changed();
  });
  server->CloseClients();
  s.Until([&] { return waited; });
  EXPECT_TRUE(s.ServersLost());
  for (Peer* peer : peers) s.Run([&] { peer->RecvAll(); });
}

void StartServingOfAClosedServerFails(Stage& s) {
  const auto server = s.Serve();
  s.CloseServer(*server);
  absl::Status status;
  bool answered = false;
  server->StartServing([&](absl::Status result) {
    status = std::move(result);
    answered = true;
    s.Changed();
  });
  s.Until([&] { return answered; });
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ToTransportError(status).reason, "SERVER_CLOSED");
}

void EmptyBufferAborts(Stage& s) {
  Tracing& client = s.Pair(s.NewBuffered("client", 0));
  Peer& peer = s.peer();
  s.Run([&] { peer.Send("nowhere to put it"); });
  s.UntilLost(client);
  EXPECT_FALSE(client.end().status.ok());
  s.Run([&] { peer.Drain(); });
}

// asyncio calls eof_received again when reading is resumed after it; the contract says at most once.
void EofComesOnce(Stage& s) {
  Tracing& client = s.Pair({.eof = [](Tracing&) { return true; }});
  Peer& peer = s.peer();
  s.Run([&] { peer.Close(); });
  s.Until([&] { return client.got_eof(); });
  client.transport().PauseReading();
  client.transport().ResumeReading();
  s.Settle();
  client.transport().Close();
  s.UntilLost(client);
  EXPECT_THAT(s.traces().at("client").lines(),
              testing::ElementsAre(testing::StartsWith("connection_made"), "create_connection returns", "eof_received",
                                   "eof_received returns True", "connection_lost None"));
}

// What a callback adds up to is what the transport says, and what the peer sent.
void TotalsGrowWithTheData(Stage& s) {
  Tracing& client = s.Pair(
      {.data = [](Tracing& p, std::string_view) { EXPECT_GE(p.transport().ReceivedBytes(), p.received_bytes()); }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send(Pattern(1'000'000));
    peer.Close();
  });
  s.UntilLost(client);
  EXPECT_EQ(client.received_bytes(), 1'000'000u);
  EXPECT_EQ(client.end().received_bytes, 1'000'000u);
  EXPECT_EQ(client.transport().ReceivedBytes(), 1'000'000u);
}

void SocketOptionsAreSetAndRead(Stage& s) {
  Tracing& client = s.Pair();
  std::optional<absl::StatusOr<int>> no_delay;
  client.transport().Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> value) {
    no_delay = std::move(value);
    s.Changed();
  });
  s.Until([&] { return no_delay.has_value(); });
  ASSERT_TRUE(no_delay->ok()) << no_delay->status();
  EXPECT_EQ(**no_delay, 1);
  std::optional<absl::Status> set;
  client.transport().Setsockopt(SocketOption::kTcpNodelay, 0, [&](absl::Status status) {
    set = std::move(status);
    s.Changed();
  });
  no_delay.reset();
  client.transport().Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> value) {
    no_delay = std::move(value);
    s.Changed();
  });
  s.Until([&] { return set.has_value() && no_delay.has_value(); });
  EXPECT_TRUE(set->ok()) << *set;
  EXPECT_EQ(**no_delay, 0);
  client.transport().Close();
  s.UntilLost(client);
}

}  // namespace

void AddOwnScenarios(Scenarios& scenarios) {
  scenarios.insert(
      scenarios.end(),
      {
          {"abort_with_reset_sends_rst", AbortWithResetSendsRst, false},
          {"end_of_peer_is_eof", EndOfPeerIsEof, false},
          {"end_by_close_is_local_close", EndByCloseIsLocalClose, false},
          {"end_by_abort_counts_what_was_dropped", EndByAbortCountsWhatWasDropped, false},
          {"end_by_reset_tells_the_errno", EndByResetTellsTheErrno, false},
          {"end_of_a_half_open_connection_is_broken_pipe", EndOfAHalfOpenConnectionIsBrokenPipe, false},
          {"connect_times_out", ConnectTimesOut, false},
          {"happy_eyeballs_passes_over_an_address_that_does_not_answer",
           HappyEyeballsPassesOverAnAddressThatDoesNotAnswer, false},
          {"close_clients_closes_every_accepted_transport", CloseClientsClosesEveryAcceptedTransport, false},
          {"abort_clients_aborts_every_accepted_transport", AbortClientsAbortsEveryAcceptedTransport, false},
          {"close_clients_of_a_closed_server", CloseClientsOfAClosedServer, false},
          {"start_serving_of_a_closed_server_fails", StartServingOfAClosedServerFails, false},
          {"eof_comes_once", EofComesOnce, false},
          {"empty_buffer_aborts", EmptyBufferAborts, false},
          {"totals_grow_with_the_data", TotalsGrowWithTheData, false},
          {"socket_options_are_set_and_read", SocketOptionsAreSetAndRead, false},
      });
}

}  // namespace transportd::conformance
