#include "server/listen/unauthenticated_connections.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "server/policy/audit_log.h"
#include "server/policy/peer_name.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/api/error.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// Both ends of a connection on loopback.
struct Pair {
  UniqueFd client;
  UniqueFd server;
  SocketAddress peer;  // The client, as the server sees it.
};

class UnauthenticatedConnectionsTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto raw = ToRawAddress({.family = AddressFamily::kInet, .host = "127.0.0.1", .port = 0});
    ASSERT_EQ(::bind(listener_.get(), raw->get(), raw->length), 0);
    ASSERT_EQ(::listen(listener_.get(), 16), 0);
    AuditLogOptions log;
    log.target = *ParseAuditTarget(folder_.Path("audit"));
    log_ = *AuditLog::Create(std::move(log));
  }
  void TearDown() override {
    if (connections_ != nullptr) connections_->Close();
    connections_.reset();
    LoopFixture::TearDown();
  }

  void Make(std::chrono::nanoseconds timeout, uint32_t max_open_count = 32, size_t max_total_open_count = 1024) {
    const PerSourceOptions options = {.max_open_count = max_open_count, .max_total_open_count = max_total_open_count};
    guard_ = std::make_unique<ConnectionGuard>(options, *log_);
    connections_ = std::make_unique<UnauthenticatedConnections>(reactor(), *guard_, timeout);
  }
  Pair Connect() {
    Pair pair;
    pair.client.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto raw = ToRawAddress(*GetSockname(listener_.get()));
    EXPECT_EQ(::connect(pair.client.get(), raw->get(), raw->length), 0);
    pair.server.Reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    pair.peer = *GetSockname(pair.client.get());
    return pair;
  }
  // The connection behind it has been shut down, or closed.
  static bool IsOver(const UniqueFd& fd) {
    pollfd polled = {.fd = fd.get(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&polled, 1, 0) == 1;
  }
  void Identify(const SocketAddress& peer) {
    connections_->Identified({.principal = "somebody", .peer = PeerName(peer)});
  }

  const TempDir folder_;
  UniqueFd listener_;
  std::unique_ptr<AuditLog> log_;
  std::unique_ptr<ConnectionGuard> guard_;
  std::unique_ptr<UnauthenticatedConnections> connections_;
};

TEST_F(UnauthenticatedConnectionsTest, OneThatIsIdentifiedCountsNoMore) {
  Make(hours(1), /*max_open_count=*/1);
  const Pair first = Connect();
  const Pair second = Connect();
  EXPECT_TRUE(connections_->Admit(first.server.get(), first.peer));
  EXPECT_FALSE(connections_->Admit(second.server.get(), second.peer));
  Identify(second.peer);  // Is not here.
  EXPECT_EQ(connections_->count(), 1u);
  Identify(first.peer);
  EXPECT_EQ(connections_->count(), 0u);
  EXPECT_EQ(guard_->Usage().open_count, 0u);
  EXPECT_TRUE(connections_->Admit(second.server.get(), second.peer));
  EXPECT_FALSE(IsOver(first.client));
}

TEST_F(UnauthenticatedConnectionsTest, OneThatEndsIsForgotten) {
  Make(hours(1));
  Pair pair = Connect();
  EXPECT_TRUE(connections_->Admit(pair.server.get(), pair.peer));
  pair.client.Reset();
  EXPECT_TRUE(RunUntil([&] { return connections_->count() == 0; }));
  EXPECT_EQ(guard_->Usage().open_count, 0u);
  // No second descriptor keeps it open.
  Pair other = Connect();
  EXPECT_TRUE(connections_->Admit(other.server.get(), other.peer));
  ::shutdown(other.server.get(), SHUT_RDWR);
  other.server.Reset();
  EXPECT_TRUE(RunUntil([&] { return connections_->count() == 0; }));
}

TEST_F(UnauthenticatedConnectionsTest, ThoseThatHaveEndedMakeRoomAtOnce) {
  Make(hours(1), /*max_open_count=*/1);
  // As nobody was refused for a while, those that are there are looked at.
  for (int i = 0; i < 3; ++i) {
    Pair pair = Connect();
    ASSERT_TRUE(RunUntil([&] { return connections_->Admit(pair.server.get(), pair.peer); })) << i;
  }
}

TEST_F(UnauthenticatedConnectionsTest, OneThatIsLateIsShutDown) {
  Make(milliseconds(1));
  const Pair pair = Connect();
  EXPECT_TRUE(connections_->Admit(pair.server.get(), pair.peer));
  EXPECT_TRUE(RunUntil([&] { return IsOver(pair.client); }));
  EXPECT_EQ(connections_->count(), 0u);
  EXPECT_EQ(guard_->Usage().open_count, 0u);
}

TEST_F(UnauthenticatedConnectionsTest, OneThatWasIdentifiedMayStay) {
  Make(milliseconds(1));
  const Pair known = Connect();
  const Pair unknown = Connect();
  EXPECT_TRUE(connections_->Admit(known.server.get(), known.peer));
  EXPECT_TRUE(connections_->Admit(unknown.server.get(), unknown.peer));
  Identify(known.peer);
  EXPECT_TRUE(RunUntil([&] { return IsOver(unknown.client); }));
  EXPECT_FALSE(IsOver(known.client));
}

TEST_F(UnauthenticatedConnectionsTest, ThreeFailuresCloseTheDoor) {
  Make(hours(1));
  const Pair pair = Connect();
  const absl::Status why = MakeError(absl::StatusCode::kUnauthenticated, "INVALID_CREDENTIALS", "no");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(connections_->Admit(pair.server.get(), pair.peer));
    connections_->Failed(PeerName(pair.peer), why);
  }
  EXPECT_FALSE(connections_->Admit(pair.server.get(), pair.peer));
  // The one that failed ends, too, when it has its answer.
  EXPECT_FALSE(IsOver(pair.client));
  EXPECT_TRUE(RunUntil([&] { return IsOver(pair.client); }));
}

TEST_F(UnauthenticatedConnectionsTest, WhoTakesAllPlacesKeepsNobodyOut) {
  Make(hours(1), /*max_open_count=*/32, /*max_total_open_count=*/2);
  const Pair first = Connect();
  const Pair second = Connect();
  const Pair third = Connect();
  EXPECT_TRUE(connections_->Admit(first.server.get(), first.peer));
  Turn();
  EXPECT_TRUE(connections_->Admit(second.server.get(), second.peer));
  Turn();
  EXPECT_TRUE(connections_->Admit(third.server.get(), third.peer));
  EXPECT_TRUE(IsOver(first.client));
  EXPECT_FALSE(IsOver(second.client));
  EXPECT_EQ(connections_->count(), 2u);
}

TEST_F(UnauthenticatedConnectionsTest, UnixSocketsAreNotHere) {
  Make(milliseconds(1), /*max_open_count=*/1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(connections_->Admit(0, {.family = AddressFamily::kUnix}));
  EXPECT_EQ(connections_->count(), 0u);
}

TEST_F(UnauthenticatedConnectionsTest, WithoutADescriptorItIsRefused) {
  Make(hours(1));
  const Pair pair = Connect();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_FALSE(connections_->Admit(pair.server.get(), pair.peer));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(guard_->Usage().open_count, 0u);
}

}  // namespace
}  // namespace transportd
