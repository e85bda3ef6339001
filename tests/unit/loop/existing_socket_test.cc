#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/leak_check.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/loop/event_loop_fixture.h"
#include "transports/base/owned_socket.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::ElementsAre;

class ExistingSocketTest : public EventLoopFixture {
 protected:
  SocketPair Pair(SocketType type = SocketType::kStream) {
    Outcome<SocketPair> outcome;
    loop_->Socketpair({.type = type}, Settled(outcome));
    EXPECT_FALSE(outcome.done()) << "never before it returns";
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.status(), IsOk());
    return outcome.value();
  }
  static RawPeer Peer(ExistingSocket& socket) { return RawPeer(*TakeSocket(socket)); }
  static std::shared_ptr<ExistingSocket> Wrap(UniqueFd fd) { return *OwnedSocket::Make(std::move(fd)); }
  // Bound to 127.0.0.1, and not listening.
  static std::shared_ptr<ExistingSocket> Bound() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const RawAddress address =
        *ToRawAddress({.family = AddressFamily::kInet, .host = "127.0.0.1", .port = 0, .path = {}});
    EXPECT_EQ(::bind(fd.get(), address.get(), address.length), 0);
    return Wrap(std::move(fd));
  }

  void Adopt(Outcome<Connection>& outcome, Record& record, ConnectAcceptedSocketOptions options) {
    outcome.id = loop_->ConnectAcceptedSocket(Factory(record), std::move(options), Connected(outcome, record));
  }
};

TEST_F(ExistingSocketTest, UnusedPairIsClosedWithItsHandles) {
  const auto fds = OpenFds();
  SocketPair pair = Pair();
  EXPECT_TRUE(pair.first->IsOpen());
  EXPECT_EQ(pair.first->Kind(), (SocketKind{.family = AddressFamily::kUnix, .type = SocketType::kStream}));
  pair.first->Close();
  RawPeer second = Peer(*pair.second);
  EXPECT_TRUE(second.RecvToEof());
  second.Close();
  pair = {};
  EXPECT_EQ(OpenFds(), fds);
}

TEST_F(ExistingSocketTest, PairThatCannotBe) {
  Outcome<SocketPair> outcome;
  loop_->Socketpair({.family = AddressFamily::kInet}, Settled(outcome));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), AllOf(HasReason("INVALID_FAMILY"), HasField("family")));
}

TEST_F(ExistingSocketTest, ConnectAcceptedSocketTakesItOver) {
  const auto fds = OpenFds();
  SocketPair pair = Pair();
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Adopt(outcome, record, {.sock = pair.first, .write_buffer_limits = {.high_bytes = 5}});
  EXPECT_FALSE(pair.first->IsOpen());
  EXPECT_THAT(record.events, ElementsAre()) << "never before it returns";
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_THAT(record.events, ElementsAre("made", "done"));
  EXPECT_EQ(outcome.value().transport->GetWriteBufferLimits().high_bytes, 5u);
  EXPECT_EQ(outcome.value().transport->GetExtraInfo().peercred->pid, ::getpid());
  RawPeer peer = Peer(*pair.second);
  EXPECT_THAT(outcome.value().transport->Write("abc"), IsOk());
  EXPECT_TRUE(peer.RecvAtLeast(3));
  EXPECT_TRUE(peer.Send("def"));
  EXPECT_TRUE(RunUntil([&] { return record.received == "def"; }));
  outcome.value().transport->Close();
  EXPECT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_TRUE(peer.RecvToEof());
  peer.Close();
  EXPECT_EQ(OpenFds(), fds);
}

TEST_F(ExistingSocketTest, ConnectAcceptedSocketOfTcpSetsNodelay) {
  RawListener listener;
  RawPeer peer = RawPeer::Connect(listener.address());
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Adopt(outcome, record, {.sock = Wrap(listener.Accept().Release())});
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_EQ(outcome.value().transport->GetExtraInfo().peername, peer.sockname());
  EXPECT_EQ(outcome.value().transport->GetExtraInfo().socket->family, AddressFamily::kInet);
  EXPECT_EQ(outcome.value().transport->GetExtraInfo().peercred, std::nullopt);
  absl::StatusOr<int> nodelay;
  outcome.value().transport->Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> v) { nodelay = v; });
  EXPECT_EQ(*nodelay, 1);
}

TEST_F(ExistingSocketTest, ConnectAcceptedSocketChecksItsArgumentsAndLeavesTheSocket) {
  SocketPair datagrams = Pair(SocketType::kDatagram);
  SocketPair streams = Pair();
  Outcome<Connection> none, datagram, limits;
  Record& record = NewRecord();
  Adopt(none, record, {});
  Adopt(datagram, record, {.sock = datagrams.first});
  Adopt(limits, record, {.sock = streams.first, .write_buffer_limits = {.high_bytes = 1, .low_bytes = 2}});
  ASSERT_TRUE(RunUntil([&] { return none.done() && datagram.done() && limits.done(); }));
  EXPECT_THAT(none.status(), AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_THAT(datagram.status(), AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_THAT(limits.status(), HasReason("INVALID_LIMITS"));
  EXPECT_TRUE(datagrams.first->IsOpen());
  EXPECT_TRUE(streams.first->IsOpen());
  EXPECT_THAT(record.events, ElementsAre("done", "done", "done"));
}

TEST_F(ExistingSocketTest, ASocketIsUsedOnce) {
  SocketPair pair = Pair();
  Outcome<Connection> first, second;
  Record& record = NewRecord();
  Record& unheard = NewRecord();
  Adopt(first, record, {.sock = pair.first});
  Adopt(second, unheard, {.sock = pair.first});
  ASSERT_TRUE(RunUntil([&] { return first.done() && second.done(); }));
  EXPECT_THAT(first.status(), IsOk());
  EXPECT_THAT(second.status(), HasReason("EBADF"));
  EXPECT_THAT(unheard.events, ElementsAre("done"));
}

TEST_F(ExistingSocketTest, CancelClosesTheSocket) {
  SocketPair pair = Pair();
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Adopt(outcome, record, {.sock = pair.first});
  loop_->CancelOperation(outcome.id);
  RawPeer peer = Peer(*pair.second);
  EXPECT_TRUE(peer.RecvToEof());
  Turn();
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_THAT(record.events, ElementsAre("done"));
}

TEST_F(ExistingSocketTest, CreateConnectionWithSock) {
  SocketPair pair = Pair();
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  CreateConnectionOptions options;
  options.sock = pair.first;
  Connect(outcome, record, std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_THAT(record.events, ElementsAre("made", "done"));
  RawPeer peer = Peer(*pair.second);
  EXPECT_TRUE(peer.Send("x"));
  EXPECT_TRUE(RunUntil([&] { return record.received == "x"; }));
}

TEST_F(ExistingSocketTest, CreateConnectionTakesEitherAHostOrASocket) {
  SocketPair pair = Pair();
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  CreateConnectionOptions options;
  options.sock = pair.first;
  options.remote.port = 1;
  Connect(outcome, record, std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_TRUE(pair.first->IsOpen());
}

TEST_F(ExistingSocketTest, CreateUnixConnectionWithSock) {
  SocketPair pair = Pair();
  Outcome<Connection> outcome, inet;
  Record& record = NewRecord();
  loop_->CreateUnixConnection(Factory(record), {.sock = pair.first}, Connected(outcome, record));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), IsOk());
  Record& unheard = NewRecord();
  loop_->CreateUnixConnection(Factory(unheard), {.sock = Bound()}, Connected(inet, unheard));
  ASSERT_TRUE(RunUntil([&] { return inet.done(); }));
  EXPECT_THAT(inet.status(), HasReason("INVALID_SOCKET"));
}

TEST_F(ExistingSocketTest, CreateServerWithSockListens) {
  const std::shared_ptr<ExistingSocket> sock = Bound();
  const SocketAddress address = sock->Sockname();
  CreateServerOptions options;
  options.sock = sock;
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, std::move(options), AcceptingFactory());
  EXPECT_FALSE(sock->IsOpen());
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_THAT(outcome.value()->Sockets(), ElementsAre(address));
  EXPECT_TRUE(RawPeer::Connect(address).valid());
  EXPECT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  outcome.value()->Close();
  EXPECT_EQ(RawPeer::Connect(address).error_number(), ECONNREFUSED);
}

TEST_F(ExistingSocketTest, CreateServerWithSockFailures) {
  SocketPair pair = Pair();
  Outcome<std::shared_ptr<Server>> both, connected, closed;
  CreateServerOptions options;
  options.sock = Bound();
  options.port = 0;
  Serve(both, options, AcceptingFactory());
  options = {};
  options.sock = pair.first;
  Serve(connected, options, AcceptingFactory());
  options.sock = Bound();
  options.sock->Close();
  Serve(closed, options, AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] { return both.done() && connected.done() && closed.done(); }));
  EXPECT_THAT(both.status(), AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_THAT(connected.status(), HasReason("EINVAL")) << "it cannot listen";
  EXPECT_THAT(closed.status(), HasReason("EBADF"));
}

TEST_F(ExistingSocketTest, CreateUnixServerWithSockRemovesItsFile) {
  TempDir directory;
  for (const bool cleanup_socket : {true, false}) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const RawAddress address = *ToRawAddress(UnixAddress(directory.Path("s")));
    ASSERT_EQ(::bind(fd.get(), address.get(), address.length), 0);
    Outcome<std::shared_ptr<Server>> outcome;
    loop_->CreateUnixServer(AcceptingFactory(), {.sock = Wrap(std::move(fd)), .cleanup_socket = cleanup_socket},
                            Served(outcome));
    ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
    ASSERT_THAT(outcome.status(), IsOk());
    EXPECT_TRUE(RawPeer::Connect(UnixAddress(directory.Path("s"))).valid());
    outcome.value()->Close();
    EXPECT_EQ(directory.Exists("s"), !cleanup_socket);
  }
}

TEST_F(ExistingSocketTest, InheritedSocketsAreUsedByNumberAndStayOpen) {
  UniqueFd original(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const RawAddress any = *ToRawAddress({.family = AddressFamily::kInet, .host = "127.0.0.1", .port = 0, .path = {}});
  ASSERT_EQ(::bind(original.get(), any.get(), any.length), 0);
  ASSERT_EQ(::listen(original.get(), 10), 0);
  CloseLoop();
  NewLoop(LoopContext::kNoDescriptorLimit, {original.get()});
  for (int i = 0; i < 2; ++i) {
    Outcome<std::shared_ptr<ExistingSocket>> sock;
    loop_->SocketFromfd(original.get(), Settled(sock));
    ASSERT_TRUE(RunUntil([&] { return sock.done(); }));
    ASSERT_THAT(sock.status(), IsOk());
    CreateServerOptions options;
    options.sock = sock.value();
    Outcome<std::shared_ptr<Server>> server;
    Serve(server, std::move(options), AcceptingFactory());
    ASSERT_TRUE(RunUntil([&] { return server.done(); }));
    const size_t accepted_count = accepted_.size();
    const RawPeer peer = RawPeer::Connect(server.value()->Sockets()[0]);
    EXPECT_TRUE(RunUntil([&] { return accepted_.size() == accepted_count + 1; }));
    server.value()->Close();
  }
  EXPECT_NE(::fcntl(original.get(), F_GETFD), -1);
}

TEST_F(ExistingSocketTest, OnlyInheritedDescriptorsHaveNumbers) {
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CloseLoop();
  NewLoop(LoopContext::kNoDescriptorLimit, {file.get()});
  Outcome<std::shared_ptr<ExistingSocket>> unknown, no_socket;
  loop_->SocketFromfd(0, Settled(unknown));
  loop_->SocketFromfd(file.get(), Settled(no_socket));
  ASSERT_TRUE(RunUntil([&] { return unknown.done() && no_socket.done(); }));
  EXPECT_THAT(unknown.status(), AllOf(HasReason("UNKNOWN_FD"), HasField("fd")));
  EXPECT_THAT(no_socket.status(), HasReason("ENOTSOCK"));
}

TEST_F(ExistingSocketTest, SetProtocolBetweenPlainAndBuffered) {
  SocketPair pair = Pair();
  Outcome<Connection> outcome;
  Record& plain = NewRecord();
  Record& buffered = NewRecord();
  Record& plain_again = NewRecord();
  Adopt(outcome, plain, {.sock = pair.first});
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  Transport& transport = *outcome.value().transport;
  RawPeer peer = Peer(*pair.second);
  ASSERT_TRUE(peer.Send("one"));
  ASSERT_TRUE(RunUntil([&] { return plain.received == "one"; }));
  transport.SetProtocol(std::make_shared<RecordingBufferedProtocol>(buffered, 2));
  ASSERT_TRUE(peer.Send("two"));
  ASSERT_TRUE(RunUntil([&] { return buffered.received == "two"; }));
  transport.SetProtocol(std::make_shared<RecordingProtocol>(plain_again));
  ASSERT_TRUE(peer.Send("three"));
  peer.Close();
  ASSERT_TRUE(RunUntil([&] { return plain_again.lost(); }));
  EXPECT_EQ(plain_again.received, "three");
  EXPECT_THAT(plain_again.events, ElementsAre("data", "eof", "lost"));
  EXPECT_FALSE(plain.lost());
  EXPECT_THAT(buffered.events, ElementsAre("data"));
}

}  // namespace
}  // namespace transportd
