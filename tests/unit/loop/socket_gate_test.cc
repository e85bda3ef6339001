// The calls of a whole loop with a gate.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/raw_datagram_peer.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/datagram/recording_datagram_protocol.h"
#include "tests/unit/loop/event_loop_fixture.h"
#include "transports/base/sockaddr.h"
#include "transports/stream/stream_server.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::IsEmpty;

class SocketGateTest : public EventLoopFixture {
 protected:
  // What came of a server's call.
  absl::Status FailToServe(CreateServerOptions options) {
    options.gate = gate_;
    Outcome<std::shared_ptr<Server>> outcome;
    Serve(outcome, std::move(options), AcceptingFactory());
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome.status();
  }
  std::shared_ptr<Server> ListenGated(CreateServerOptions options = {}) {
    options.gate = gate_;
    return Listen(std::move(options));
  }
  Outcome<std::shared_ptr<Server>> ListenAtPath(const std::string& path) {
    Outcome<std::shared_ptr<Server>> outcome;
    loop_->CreateUnixServer(AcceptingFactory(), {.path = path, .gate = gate_}, Served(outcome));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome;
  }
  Outcome<Connection> ConnectToPath(Record& record, const std::string& path) {
    Outcome<Connection> outcome;
    loop_->CreateUnixConnection(Factory(record), {.path = path, .gate = gate_}, Connected(outcome, record));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome;
  }

  const std::shared_ptr<FakeGate> gate_ = std::make_shared<FakeGate>();
  TempDir directory_;
};

// create_connection

TEST_F(SocketGateTest, AddressesBehindANameAreAskedAboutEach) {
  RawListener listener;
  resolver_.SetHosts("db.example", {"127.0.0.2", "127.0.0.1"});
  gate_->Refuse("connect 127.0.0.2");
  CreateConnectionOptions options = To(listener.address());
  options.remote.host = "db.example";
  options.gate = gate_;
  Outcome<Connection> outcome;
  Connect(outcome, NewRecord(), options);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  const std::string port = std::to_string(listener.address().port);
  EXPECT_THAT(gate_->asked(), ElementsAre("connect 127.0.0.2:" + port, "connect 127.0.0.1:" + port));
}

TEST_F(SocketGateTest, RefusedConnectionIsWhatTheGateSays) {
  RawListener listener;
  gate_->Refuse("connect");
  CreateConnectionOptions options = To(listener.address());
  options.gate = gate_;
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, options);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), AllOf(StatusIs(absl::StatusCode::kPermissionDenied), HasReason("POLICY_DENIED")));
  EXPECT_EQ(outcome.status().message(), "denied: decision 7");
  EXPECT_THAT(record.events, ElementsAre("done"));
  EXPECT_FALSE(listener.TryAccept().valid());
}

// create_server

TEST_F(SocketGateTest, EachAddressToBindIsAskedAboutAndOneRefusalEndsAll) {
  gate_->Refuse("bind [::1]");
  EXPECT_THAT(FailToServe(At({"127.0.0.1", "::1"})), HasReason("POLICY_DENIED"));
  EXPECT_THAT(gate_->asked(), ElementsAre("bind 127.0.0.1:0", "bind [::1]:0"));
  EXPECT_EQ(loop_->GetCounts().servers, 0u);
}

TEST_F(SocketGateTest, PortIsOneOfTheRanges) {
  RawListener used;
  const uint16_t port = used.address().port;
  gate_->ranges = {{.first = port, .last = port}};
  EXPECT_THAT(FailToServe(At({"127.0.0.1"})), HasReason("EADDRINUSE"));
  used.Close();
  const auto server = ListenGated();
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(server->Sockets()[0].port, port);
  EXPECT_EQ(gate_->bound(), server->Sockets()[0]);
  EXPECT_TRUE(RawPeer::Connect(server->Sockets()[0]).valid());
}

TEST_F(SocketGateTest, PortThatTheKernelPickedIsTold) {
  const auto server = ListenGated();
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(gate_->bound(), server->Sockets()[0]);
}

TEST_F(SocketGateTest, RefusedPeerIsResetCountedAndNoProtocolHearsOfIt) {
  const auto server = ListenGated();
  ASSERT_NE(server, nullptr);
  gate_->Refuse("accept");
  RawPeer peer = RawPeer::Connect(server->Sockets()[0]);
  ASSERT_TRUE(peer.valid());
  const std::string question = "accept " + server->Sockets()[0].ToString() + " from " + peer.sockname().ToString();
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return peer.error_number() != 0 || peer.eof();
  }));
  EXPECT_EQ(peer.error_number(), ECONNRESET);
  EXPECT_THAT(accepted_, IsEmpty());
  EXPECT_THAT(gate_->asked(), testing::Contains(question));
  EXPECT_EQ(std::dynamic_pointer_cast<StreamServer>(server)->RefusedCount(), 1u);
  EXPECT_EQ(loop_->GetCounts().transports, 0u);

  gate_->refuses = nullptr;
  RawPeer other = RawPeer::Connect(server->Sockets()[0]);
  EXPECT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  EXPECT_EQ(std::dynamic_pointer_cast<StreamServer>(server)->RefusedCount(), 1u);
}

TEST_F(SocketGateTest, GateIsToldTheAddressThatAConnectionCameTo) {
  resolver_.SetHosts("0.0.0.0", {"0.0.0.0"});
  const auto server = ListenGated(At({"0.0.0.0"}));
  ASSERT_NE(server, nullptr);
  SocketAddress address = server->Sockets()[0];
  address.host = "127.0.0.2";
  gate_->Forget();
  RawPeer peer = RawPeer::Connect(address);
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  EXPECT_THAT(gate_->asked(), ElementsAre("accept " + address.ToString() + " from " + peer.sockname().ToString()));
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().sockname, address);
}

TEST_F(SocketGateTest, ServerOverAnExistingSocketAsksForItsConnections) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const RawAddress any = *ToRawAddress({.family = AddressFamily::kInet, .host = "127.0.0.1"});
  ASSERT_EQ(::bind(listener.get(), any.get(), any.length), 0);
  const SocketAddress address = *GetSockname(listener.get());
  CloseLoop();
  NewLoop(LoopContext::kNoDescriptorLimit, {listener.get()});
  Outcome<std::shared_ptr<ExistingSocket>> sock;
  loop_->SocketFromfd(listener.get(), Settled(sock), gate_);
  ASSERT_TRUE(RunUntil([&] { return sock.done(); }));
  ASSERT_THAT(sock.status(), IsOk());
  const std::string number = "fd:" + std::to_string(listener.get());
  EXPECT_THAT(gate_->asked(), ElementsAre("read " + number, "write " + number));

  gate_->Refuse("accept");
  Outcome<std::shared_ptr<Server>> server;
  CreateServerOptions options;
  options.sock = sock.value();
  options.gate = gate_;
  Serve(server, std::move(options), AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] { return server.done(); }));
  ASSERT_THAT(server.status(), IsOk());
  RawPeer peer = RawPeer::Connect(address);
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return peer.error_number() == ECONNRESET;
  }));
  EXPECT_THAT(accepted_, IsEmpty());
}

TEST_F(SocketGateTest, InheritedSocketIsRefusedWhetherItIsThereOrNot) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CloseLoop();
  NewLoop(LoopContext::kNoDescriptorLimit, {socket.get()});
  for (const char* direction : {"read", "write"}) {
    gate_->Refuse(direction);
    for (const int fd : {socket.get(), 12345}) {
      Outcome<std::shared_ptr<ExistingSocket>> sock;
      loop_->SocketFromfd(fd, Settled(sock), gate_);
      ASSERT_TRUE(RunUntil([&] { return sock.done(); }));
      EXPECT_THAT(sock.status(), HasReason("POLICY_DENIED"));
    }
  }
}

// Unix sockets.

TEST_F(SocketGateTest, PathToConnectToIsAskedAbout) {
  RawListener listener(UnixAddress(directory_.Path("s")));
  Record& record = NewRecord();
  EXPECT_THAT(ConnectToPath(record, directory_.Path("s")).status(), IsOk());
  EXPECT_THAT(gate_->asked(), ElementsAre("connect " + directory_.Path("s")));
  gate_->Refuse("connect");
  EXPECT_THAT(ConnectToPath(NewRecord(), directory_.Path("none")).status(), HasReason("POLICY_DENIED"));
}

TEST_F(SocketGateTest, FullBacklogIsOneAttempt) {
  RawListener listener(UnixAddress(directory_.Path("s")), /*backlog=*/0);
  const RawPeer filler = RawPeer::Connect(UnixAddress(directory_.Path("s")));
  for (const bool forbids : {false, true}) {
    gate_->forbids_symlinks = forbids;
    gate_->Forget();
    gate_->refuses = nullptr;
    Outcome<Connection> outcome;
    Record& record = NewRecord();
    loop_->CreateUnixConnection(Factory(record), {.path = directory_.Path("s"), .gate = gate_},
                                Connected(outcome, record));
    for (int i = 0; i < 5; ++i) {
      clock_.Advance(std::chrono::milliseconds(50));
      Turn();
    }
    EXPECT_THAT(gate_->asked(), ElementsAre("connect " + directory_.Path("s")));
    gate_->Refuse("connect");
    ++gate_->generation;
    clock_.Advance(std::chrono::milliseconds(50));
    ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.status(), HasReason("POLICY_DENIED"));
  }
}

TEST_F(SocketGateTest, WithoutSymbolicLinksPathsAreWhatTheyAlwaysAre) {
  gate_->forbids_symlinks = true;
  const std::string path = directory_.Path("s");
  const auto server = ListenAtPath(path);
  ASSERT_THAT(server.status(), IsOk());
  EXPECT_THAT((*server.result)->get()->Sockets(), ElementsAre(UnixAddress(path)));
  Record& record = NewRecord();
  Outcome<Connection> outcome = ConnectToPath(record, path);
  ASSERT_THAT(outcome.status(), IsOk());
  ASSERT_TRUE(RunUntil([&] { return !accepted_.empty() && accepted_[0]->transport != nullptr; }));
  EXPECT_EQ(outcome.value().transport->GetExtraInfo().peername, UnixAddress(path));
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().sockname, UnixAddress(path));
  EXPECT_THAT(outcome.value().transport->Write("ping"), IsOk());
  EXPECT_TRUE(RunUntil([&] { return accepted_[0]->received == "ping"; }));
  EXPECT_THAT(gate_->asked(), ElementsAre("bind " + path, "connect " + path, "accept " + path + " from (unnamed)"));
  (*server.result)->get()->Close();
  EXPECT_FALSE(directory_.Exists("s"));
}

TEST_F(SocketGateTest, LinkAtAnyPlaceOfAUnixSocketsPathIsRefused) {
  RawListener listener(UnixAddress(directory_.Path("s")));
  ASSERT_EQ(::symlink("s", directory_.Path("to_s").c_str()), 0);
  ASSERT_EQ(::symlink(".", directory_.Path("link").c_str()), 0);
  gate_->forbids_symlinks = true;
  for (const char* name : {"to_s", "link/s"}) {
    Record& record = NewRecord();
    EXPECT_THAT(ConnectToPath(record, directory_.Path(name)).status(), HasReason("ELOOP")) << name;
    EXPECT_THAT(record.events, ElementsAre("done"));
    EXPECT_THAT(ListenAtPath(directory_.Path(name)).status(), HasReason("ELOOP")) << name;
  }
  EXPECT_FALSE(listener.TryAccept().valid());
  EXPECT_TRUE(directory_.Exists("s"));
}

TEST_F(SocketGateTest, RefusedUnixPeerSeesTheEnd) {
  gate_->Refuse("accept");
  const auto server = ListenAtPath(directory_.Path("s"));
  ASSERT_THAT(server.status(), IsOk());
  RawPeer peer = RawPeer::Connect(UnixAddress(directory_.Path("s")));
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return peer.eof() || peer.error_number() != 0;
  }));
  EXPECT_THAT(accepted_, IsEmpty());
}

// Datagrams.

class DatagramGateTest : public SocketGateTest {
 protected:
  void TearDown() override {
    if (record_.transport != nullptr) record_.transport->Abort();
    record_.transport.reset();
    SocketGateTest::TearDown();
  }
  absl::Status Create(CreateDatagramEndpointOptions options) {
    options.gate = gate_;
    Outcome<DatagramEndpoint> outcome;
    loop_->CreateDatagramEndpoint([this] { return std::make_shared<RecordingDatagramProtocol>(record_); },
                                  std::move(options), Settled(outcome));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome.status();
  }

  DatagramRecord record_;
};

TEST_F(DatagramGateTest, EndpointAsksForWhatItBindsConnectsSendsAndReceives) {
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  ASSERT_THAT(Create({.local = HostPort{.host = "127.0.0.1", .port = 0}}), IsOk());
  const SocketAddress to = peer.address();
  ASSERT_THAT(record_.transport->SendTo("x", &to), IsOk());
  ASSERT_TRUE(peer.SendTo(*record_.transport->GetExtraInfo().sockname, "y"));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 1; }));
  EXPECT_THAT(gate_->asked(), ElementsAre("bind 127.0.0.1:0", "send " + to.ToString(), "receive " + to.ToString()));
}

TEST_F(DatagramGateTest, RefusedEndpointIsNotMade) {
  gate_->Refuse("connect");
  EXPECT_THAT(Create({.remote = HostPort{.host = "127.0.0.1", .port = 9}}), HasReason("POLICY_DENIED"));
  EXPECT_THAT(record_.events, IsEmpty());
}

TEST_F(DatagramGateTest, WithoutSymbolicLinksPathsAreWhatTheyAlwaysAre) {
  gate_->forbids_symlinks = true;
  RawDatagramPeer peer = RawDatagramPeer::OnPath(directory_.Path("peer"));
  ASSERT_THAT(Create({.local_path = directory_.Path("s"), .remote_path = directory_.Path("peer")}), IsOk());
  const ExtraInfo& info = record_.transport->GetExtraInfo();
  EXPECT_EQ(info.sockname, UnixAddress(directory_.Path("s")));
  EXPECT_EQ(info.peername, UnixAddress(directory_.Path("peer")));
  ASSERT_THAT(record_.transport->SendTo("x"), IsOk());
  EXPECT_EQ(peer.Receive()->data, "x");
  ASSERT_TRUE(peer.SendTo(UnixAddress(directory_.Path("s")), "y"));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 1; }));
  EXPECT_EQ(record_.senders[0], UnixAddress(directory_.Path("peer")));
}

}  // namespace
}  // namespace transportd
