#include <fcntl.h>
#include <netdb.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/leak_check.h"
#include "tests/unit/loop/event_loop_fixture.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

using CreateServerTest = EventLoopFixture;

class CreateServerFamilyTest : public EventLoopFixture, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(, CreateServerFamilyTest, testing::Values("127.0.0.1", "::1"), [](const auto& parameter) {
  return std::string(parameter.param) == "::1" ? "Inet6" : "Inet";
});

bool IsRefused(const SocketAddress& address) {
  const RawPeer peer = RawPeer::Connect(address);
  return !peer.valid() && peer.error_number() == ECONNREFUSED;
}

TEST_P(CreateServerFamilyTest, AcceptsAndTellsBothAddresses) {
  const auto server = Listen(At({GetParam()}));
  ASSERT_THAT(server->Sockets(), SizeIs(1));
  const SocketAddress address = server->Sockets()[0];
  EXPECT_EQ(address.host, GetParam());
  EXPECT_NE(address.port, 0);
  EXPECT_TRUE(server->IsServing());
  RawPeer peer = RawPeer::Connect(address);
  ASSERT_TRUE(peer.Send("hello"));
  ASSERT_TRUE(RunUntil([&] { return !accepted_.empty() && accepted_[0]->received == "hello"; }));
  EXPECT_THAT(accepted_[0]->events, ElementsAre("made", "data"));
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().peername, peer.sockname());
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().sockname, address);
  int nodelay = 0;
  accepted_[0]->transport->Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> value) { nodelay = *value; });
  EXPECT_EQ(nodelay, 1);
}

TEST_F(CreateServerTest, NoHostIsAllInterfacesOfBothFamilies) {
  resolver_.SetHosts("", {"0.0.0.0", "::"});
  const SocketAddress free = RefusedAddress();
  CreateServerOptions options;
  options.hosts = {""};
  options.port = free.port;
  const auto server = Listen(std::move(options));
  ASSERT_NE(server, nullptr);
  ASSERT_THAT(server->Sockets(), SizeIs(2));
  EXPECT_EQ(server->Sockets()[0].ToString(), "0.0.0.0:" + std::to_string(free.port));
  EXPECT_EQ(server->Sockets()[1].ToString(), "[::]:" + std::to_string(free.port)) << "IPv6 only: the port is shared";
  const ResolveRequest request = resolver_.requests().back();
  EXPECT_EQ(request.address.host, std::nullopt);
  EXPECT_EQ(request.flags, AI_PASSIVE);
  EXPECT_TRUE(RawPeer::Connect(free).valid());
  SocketAddress free6 = RefusedAddress(AddressFamily::kInet6);
  free6.port = free.port;
  EXPECT_TRUE(RawPeer::Connect(free6).valid());
  EXPECT_TRUE(RunUntil([this] { return accepted_.size() == 2; }));
}

TEST_F(CreateServerTest, UnionOfHostsBindsEachAddressOnce) {
  resolver_.SetHosts("a", {"127.0.0.1", "127.0.0.2"});
  resolver_.SetHosts("b", {"127.0.0.2", "::1"});
  const auto server = Listen(At({"a", "b", "a"}));
  ASSERT_THAT(server->Sockets(), SizeIs(3));
  std::set<std::string> hosts;
  for (const SocketAddress& address : server->Sockets()) {
    hosts.insert(address.host);
    EXPECT_NE(address.port, 0) << "the kernel picks one for each socket; two may be the same by chance";
    EXPECT_TRUE(RawPeer::Connect(address).valid()) << address.ToString();
  }
  EXPECT_THAT(hosts, SizeIs(3));
  EXPECT_TRUE(RunUntil([this] { return accepted_.size() == 3; }));
}

TEST_F(CreateServerTest, NothingIsAcceptedBeforeDone) {
  Outcome<std::shared_ptr<Server>> outcome;
  bool accepted_before_done = false;
  CreateServerOptions options = At({"127.0.0.1"});
  Serve(outcome, std::move(options), AcceptingFactory([&](Record&) { accepted_before_done |= !outcome.done(); }));
  EXPECT_FALSE(outcome.done());
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  const RawPeer peer = RawPeer::Connect(outcome.value()->Sockets()[0]);
  ASSERT_TRUE(RunUntil([this] { return !accepted_.empty(); }));
  EXPECT_FALSE(accepted_before_done);
}

TEST_F(CreateServerTest, PortInUseSaysWhereAndLeavesNoSocket) {
  RawListener in_use;
  resolver_.SetHosts("two", {"127.0.0.2", "127.0.0.1"});
  CreateServerOptions options;
  options.hosts = {"two"};
  options.port = in_use.address().port;
  const auto fds = OpenFds();
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, std::move(options), AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("EADDRINUSE"));
  const TransportError error = ToTransportError(outcome.status());
  EXPECT_EQ(error.operation, "bind");
  EXPECT_EQ(error.address, in_use.address().ToString());
  EXPECT_EQ(OpenFds(), fds);
}

TEST_F(CreateServerTest, AddressThatIsNotHereIsPassedOver) {
  resolver_.SetHosts("some", {"203.0.113.1", "127.0.0.1"});
  const auto server = Listen(At({"some"}));
  ASSERT_NE(server, nullptr);
  EXPECT_THAT(server->Sockets(), SizeIs(1));
}

TEST_F(CreateServerTest, NoAddressThatIsHereIsAnError) {
  resolver_.SetHosts("none", {"203.0.113.1", "203.0.113.2"});
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, At({"none"}), AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("EADDRNOTAVAIL"));
  EXPECT_THAT(ToTransportError(outcome.status()).causes, SizeIs(2));
}

TEST_F(CreateServerTest, BadArgumentsAndNamesFail) {
  Outcome<std::shared_ptr<Server>> bad_backlog, bad_name;
  CreateServerOptions options;
  options.backlog = 0;
  Serve(bad_backlog, std::move(options), AcceptingFactory());
  Serve(bad_name, At({"127.0.0.1", "nobody"}), AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] { return bad_backlog.done() && bad_name.done(); }));
  EXPECT_THAT(bad_backlog.status(), AllOf(HasReason("INVALID_BACKLOG"), HasField("backlog")));
  EXPECT_THAT(bad_name.status(), HasReason("EAI_NONAME"));
}

TEST_F(CreateServerTest, TimesOutWhileItResolves) {
  resolver_.Hold();
  CreateServerOptions options = At({"127.0.0.1"});
  options.timeout = seconds(3);
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, std::move(options), AcceptingFactory());
  Turn();
  clock_.Advance(seconds(3));
  Turn();
  EXPECT_THAT(outcome.status(), AllOf(StatusIs(absl::StatusCode::kDeadlineExceeded), HasReason("BIND_TIMEOUT")));
  resolver_.AnswerAll();
}

TEST_F(CreateServerTest, CancelLeavesNothing) {
  resolver_.Hold();
  Outcome<std::shared_ptr<Server>> resolving, bound;
  Serve(resolving, At({"127.0.0.1"}), AcceptingFactory());
  loop_->CancelOperation(resolving.id);
  Turn();
  EXPECT_THAT(resolving.status(), HasReason("CANCELLED"));
  resolver_.AnswerAll();
  Serve(bound, At({"127.0.0.1"}), AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] {
    if (loop_->GetCounts().servers == 0) return false;
    loop_->CancelOperation(bound.id);
    return true;
  }));
  Turn();
  EXPECT_EQ(bound.done_count, 1);
  if (!bound.status().ok()) {
    EXPECT_EQ(loop_->GetCounts().servers, 0u);
  }
}

TEST_F(CreateServerTest, StartServingFalseIsBoundAndRefuses) {
  CreateServerOptions options;
  options.start_serving = false;
  const auto server = Listen(std::move(options));
  const SocketAddress address = server->Sockets()[0];
  EXPECT_FALSE(server->IsServing());
  EXPECT_TRUE(IsRefused(address));
  int done_count = 0;
  for (int i = 0; i < 2; ++i) {
    server->StartServing([&](absl::Status status) {
      EXPECT_THAT(status, IsOk());
      ++done_count;
    });
  }
  EXPECT_EQ(done_count, 2);
  EXPECT_TRUE(server->IsServing());
  const RawPeer peer = RawPeer::Connect(address);
  EXPECT_TRUE(RunUntil([this] { return accepted_.size() == 1; }));
  server->Close();
  server->StartServing([](absl::Status status) { EXPECT_THAT(status, HasReason("SERVER_CLOSED")); });
}

TEST_F(CreateServerTest, CloseRefusesBeforeItReturns) {
  const auto server = Listen();
  const SocketAddress address = server->Sockets()[0];
  bool closed = false;
  server->Close([&] {
    closed = true;
    EXPECT_TRUE(IsRefused(address));
  });
  EXPECT_TRUE(closed);
  EXPECT_FALSE(server->IsServing());
  EXPECT_THAT(server->Sockets(), IsEmpty());
  server->Close();
  server->Getsockopt(SocketOption::kSoReuseaddr,
                     [](absl::StatusOr<int> value) { EXPECT_THAT(value, HasReason("SERVER_CLOSED")); });
  server->Setsockopt(SocketOption::kSoReuseaddr, 1,
                     [](absl::Status status) { EXPECT_THAT(status, HasReason("SERVER_CLOSED")); });
}

TEST_F(CreateServerTest, AcceptedTransportsOutliveTheServerAndWaitClosedWaitsForThem) {
  auto server = Listen();
  RawPeer peer = RawPeer::Connect(server->Sockets()[0]);
  ASSERT_TRUE(RunUntil([this] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  int waited = 0;
  server->WaitClosed([&] { ++waited; });
  server->Close();
  Turn();
  EXPECT_EQ(waited, 0);
  ASSERT_TRUE(peer.Send("still"));
  ASSERT_TRUE(RunUntil([this] { return accepted_[0]->received == "still"; }));
  const std::weak_ptr<Server> weak = server;
  server.reset();
  servers_.clear();
  EXPECT_FALSE(weak.expired()) << "the loop holds it";
  peer.Close();
  ASSERT_TRUE(RunUntil([&] { return waited == 1; }));
  EXPECT_TRUE(accepted_[0]->lost());
  Turn();
  EXPECT_TRUE(weak.expired());
}

TEST_F(CreateServerTest, WaitClosedOfAClosedServerAnswersAtOnce) {
  const auto server = Listen();
  server->Close();
  bool waited = false;
  server->WaitClosed([&] { waited = true; });
  EXPECT_TRUE(waited);
}

TEST_F(CreateServerTest, ServerLivesWhileItServesThoughNobodyHoldsIt) {
  const SocketAddress address = Listen()->Sockets()[0];
  servers_.clear();
  Turn();
  const RawPeer peer = RawPeer::Connect(address);
  EXPECT_TRUE(peer.valid());
  EXPECT_TRUE(RunUntil([this] { return accepted_.size() == 1; }));
  CloseLoop();
}

TEST_F(CreateServerTest, CloseClientsFlushesAndAbortClientsDoesNot) {
  const auto server = Listen();
  std::vector<RawPeer> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(RawPeer::Connect(server->Sockets()[0]));
  ASSERT_TRUE(RunUntil([this] {
    return accepted_.size() == 3 &&
           std::all_of(accepted_.begin(), accepted_.end(), [](Record* record) { return record->transport != nullptr; });
  }));
  accepted_[0]->transport->Close();
  size_t closed = 0, aborted = 0;
  server->CloseClients([&](size_t count) { closed = count; });
  server->AbortClients([&](size_t count) { aborted = count; });
  EXPECT_EQ(closed, 2u);
  EXPECT_EQ(aborted, 0u) << "all end already";
  ASSERT_TRUE(RunUntil([this] {
    return std::all_of(accepted_.begin(), accepted_.end(), [](Record* record) { return record->lost(); });
  }));
  for (Record* record : accepted_) EXPECT_EQ(record->end->cause, EndCause::kLocalClose);
  for (RawPeer& peer : peers) EXPECT_TRUE(peer.RecvToEof());
  EXPECT_TRUE(server->IsServing());
}

TEST_F(CreateServerTest, AbortClientsOvertakesTheFlush) {
  const auto server = Listen();
  RawPeer peer = RawPeer::Connect(server->Sockets()[0]);
  ASSERT_TRUE(RunUntil([this] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  ASSERT_THAT(accepted_[0]->transport->Write(std::string(20 << 20, 'x')), IsOk());
  accepted_[0]->transport->Close();
  size_t aborted = 0;
  server->AbortClients([&](size_t count) { aborted = count; });
  EXPECT_EQ(aborted, 1u);
  ASSERT_TRUE(RunUntil([this] { return accepted_[0]->lost(); }));
  EXPECT_EQ(accepted_[0]->end->cause, EndCause::kLocalAbort);
  EXPECT_GT(accepted_[0]->end->dropped_bytes, 0u);
}

TEST_F(CreateServerTest, ConnectionAcceptedBeforeCloseGetsItsProtocol) {
  std::shared_ptr<Server> server;
  server = Listen({}, [&](Record&) { loop_->CallSoon([&] { server->Close(); }); });
  RawPeer peer = RawPeer::Connect(server->Sockets()[0]);
  ASSERT_TRUE(RunUntil([this] { return !accepted_.empty() && !accepted_[0]->events.empty(); }));
  EXPECT_FALSE(server->IsServing());
  EXPECT_THAT(accepted_[0]->events, ElementsAre("made"));
  ASSERT_TRUE(peer.Send("x"));
  EXPECT_TRUE(RunUntil([this] { return accepted_[0]->received == "x"; }));
}

TEST_F(CreateServerTest, CloseInsideTheFactoryClosesTheConnection) {
  std::shared_ptr<Server> server;
  server = Listen({}, [&](Record&) { server->Close(); });
  RawPeer first = RawPeer::Connect(server->Sockets()[0]);
  RawPeer second = RawPeer::Connect(server->Sockets()[0]);
  ASSERT_TRUE(RunUntil([this] { return !accepted_.empty(); }));
  Turn();
  EXPECT_THAT(accepted_, SizeIs(1));
  EXPECT_THAT(accepted_[0]->events, IsEmpty());
  EXPECT_TRUE(first.RecvToEof());
  EXPECT_FALSE(second.RecvToEof());
  EXPECT_EQ(second.error_number(), ECONNRESET);
}

TEST_F(CreateServerTest, SocketOptions) {
  CreateServerOptions options;
  options.reuse_port = true;
  const auto first = Listen(options);
  int reuse_address = 0, reuse_port = 0;
  first->Getsockopt(SocketOption::kSoReuseaddr, [&](absl::StatusOr<int> value) { reuse_address = *value; });
  first->Getsockopt(SocketOption::kSoReuseport, [&](absl::StatusOr<int> value) { reuse_port = *value; });
  EXPECT_EQ(reuse_address, 1);
  EXPECT_EQ(reuse_port, 1);
  options.port = first->Sockets()[0].port;
  EXPECT_NE(Listen(options), nullptr) << "two servers share the port";

  CreateServerOptions other_options;
  other_options.reuse_address = false;
  other_options.keep_alive = true;
  const auto third = Listen(other_options);
  third->Getsockopt(SocketOption::kSoReuseaddr, [&](absl::StatusOr<int> value) { reuse_address = *value; });
  third->Getsockopt(SocketOption::kSoReuseport, [&](absl::StatusOr<int> value) { reuse_port = *value; });
  EXPECT_EQ(reuse_address, 0);
  EXPECT_EQ(reuse_port, 0);
  const RawPeer peer = RawPeer::Connect(third->Sockets()[0]);
  ASSERT_TRUE(RunUntil([this] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  int keep_alive = 0;
  accepted_[0]->transport->Getsockopt(SocketOption::kSoKeepalive,
                                      [&](absl::StatusOr<int> value) { keep_alive = *value; });
  EXPECT_EQ(keep_alive, 1);

  absl::Status set;
  third->Setsockopt(SocketOption::kSoRcvbuf, 65536, [&](absl::Status status) { set = std::move(status); });
  EXPECT_THAT(set, IsOk());
}

TEST_F(CreateServerTest, BacklogBoundsWhatOneTurnAccepts) {
  CreateServerOptions options;
  options.backlog = 2;
  const auto server = Listen(std::move(options));
  std::vector<RawPeer> peers;
  for (int i = 0; i < 3; ++i) peers.push_back(RawPeer::Connect(server->Sockets()[0]));
  loop_->reactor().RunOnce(Duration::zero());
  EXPECT_THAT(accepted_, SizeIs(2));
  EXPECT_TRUE(RunUntil([this] { return accepted_.size() == 3; }));
}

// Leaves the process no descriptor to open while it lives. UBSan's check of virtual calls opens a pipe for a class that
// it has not seen before: inside, nothing new may be called, nor matchers be used.
class NoDescriptorsLeft {
 public:
  NoDescriptorsLeft() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    // The lowest that is free is the first that cannot be had; all below are open.
    rlimit none = before_;
    const UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    none.rlim_cur = static_cast<rlim_t>(probe.get());
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptorsLeft() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_{};
};

class OutOfDescriptorsTest : public EventLoopFixture {
 protected:
  // A server that has accepted one connection already, and one more that waits.
  void SetUp() override {
    EventLoopFixture::SetUp();
    server_ = Listen();
    first_ = RawPeer::Connect(server_->Sockets()[0]);
    ASSERT_TRUE(RunUntil([this] { return accepted_.size() == 1; }));
    second_ = RawPeer::Connect(server_->Sockets()[0]);
    // See NoDescriptorsLeft.
    loop_->context().ReportException({.message = "seen before", .status = absl::OkStatus()});
    exceptions_.clear();
  }
  void TearDown() override {
    server_.reset();
    EventLoopFixture::TearDown();
  }

  std::shared_ptr<Server> server_;
  RawPeer first_, second_;
};

TEST_F(OutOfDescriptorsTest, PausesAcceptingForASecondAndRecovers) {
  size_t reports_at_once = 0, reports_after_a_second = 0;
  {
    const NoDescriptorsLeft none;
    Turn(20);
    reports_at_once = exceptions_.size();
    clock_.Advance(seconds(1));
    Turn(20);
    reports_after_a_second = exceptions_.size();
  }
  EXPECT_EQ(reports_at_once, 1u) << "it does not spin";
  EXPECT_EQ(reports_after_a_second, 2u) << "tried again after a second";
  EXPECT_EQ(exceptions_[0].message, "socket.accept() out of system resource");
  EXPECT_THAT(exceptions_[0].status, HasReason("EMFILE"));
  EXPECT_EQ(exceptions_[0].server, server_.get());
  clock_.Advance(milliseconds(999));
  Turn();
  EXPECT_THAT(accepted_, SizeIs(1));
  clock_.Advance(milliseconds(1));
  EXPECT_TRUE(RunUntil([this] { return accepted_.size() == 2; }));
  EXPECT_THAT(exceptions_, SizeIs(2));
}

TEST_F(OutOfDescriptorsTest, CloseWhileAcceptingIsPausedLeavesNoTimer) {
  {
    const NoDescriptorsLeft none;
    Turn(20);
  }
  EXPECT_THAT(exceptions_, SizeIs(1));
  EXPECT_EQ(loop_->reactor().GetCounts().timers, 1u);
  server_->Close();
  EXPECT_EQ(loop_->reactor().GetCounts().timers, 0u);
}

// Every number below the limit is taken, by descriptors that the process holds elsewhere; those above are free.
class DescriptorLimitTest : public EventLoopFixture {
 protected:
  static constexpr int kLimit = 200;

  void SetUp() override { NewLoop(kLimit); }
  void TakeAllBelowTheLimit() {
    for (;;) {
      UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      ASSERT_TRUE(fd.valid());
      if (fd.get() >= kLimit) return;
      taken_.push_back(std::move(fd));
    }
  }

  std::vector<UniqueFd> taken_;
};

TEST_F(DescriptorLimitTest, AcceptOverItClosesAndPausesAndRecovers) {
  const auto server = Listen();
  TakeAllBelowTheLimit();
  RawPeer first = RawPeer::Connect(server->Sockets()[0]);
  ASSERT_TRUE(RunUntil([this] { return !exceptions_.empty(); }));
  EXPECT_THAT(exceptions_[0].status, HasReason("EMFILE"));
  EXPECT_EQ(exceptions_[0].message, "socket.accept() out of system resource");
  EXPECT_EQ(exceptions_[0].server, server.get());
  EXPECT_TRUE(first.RecvToEof());

  const RawPeer second = RawPeer::Connect(server->Sockets()[0]);
  taken_.clear();
  Turn(20);
  EXPECT_THAT(accepted_, IsEmpty());
  clock_.Advance(seconds(1));
  ASSERT_TRUE(RunUntil([this] { return accepted_.size() == 1; }));
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().peername, second.sockname());
  EXPECT_THAT(exceptions_, SizeIs(1));
}

TEST_F(DescriptorLimitTest, ConnectAndBindOverItFail) {
  RawListener listener;
  TakeAllBelowTheLimit();
  Outcome<Connection> connection;
  Connect(connection, NewRecord(), To(listener.address()));
  Outcome<std::shared_ptr<Server>> server;
  Serve(server, At({"127.0.0.1"}), AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] { return connection.done() && server.done(); }));
  for (const absl::Status& status : {connection.status(), server.status()}) {
    EXPECT_THAT(status, HasReason("EMFILE"));
    EXPECT_EQ(ToTransportError(status).operation, "socket");
  }
  taken_.pop_back();  // The highest is the last number below the limit.
  Outcome<Connection> again;
  Connect(again, NewRecord(), To(listener.address()));
  ASSERT_TRUE(RunUntil([&] { return again.done(); }));
  EXPECT_THAT(again.status(), IsOk());
}

TEST_F(CreateServerTest, DestroyedLoopClosesServersAndTransports) {
  const auto server = Listen();
  const SocketAddress address = server->Sockets()[0];
  RawPeer peer = RawPeer::Connect(address);
  ASSERT_TRUE(RunUntil([this] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  const auto transport = accepted_[0]->transport;
  bool waited = false;
  server->WaitClosed([&] { waited = true; });
  CloseLoop();
  EXPECT_TRUE(IsRefused(address));
  EXPECT_TRUE(peer.RecvToEof());
  EXPECT_THAT(accepted_[0]->events, ElementsAre("made"));
  EXPECT_FALSE(waited);
  transport->Close();
  server->Close();
  EXPECT_THAT(transport->Write("x"), IsOk());
}

}  // namespace
}  // namespace transportd
