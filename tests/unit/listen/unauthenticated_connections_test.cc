#include "server/listen/unauthenticated_connections.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "server/policy/audit_log.h"
#include "server/policy/identity.h"
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
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

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
    listener_ = Listen({.family = AddressFamily::kInet, .host = "127.0.0.1", .port = 0});
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
  static UniqueFd Listen(const SocketAddress& address) {
    const auto raw = ToRawAddress(address);
    UniqueFd listener(::socket(raw->get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener.get(), raw->get(), raw->length), 0);
    EXPECT_EQ(::listen(listener.get(), 16), 0);
    return listener;
  }
  static Pair ConnectTo(const UniqueFd& listener) {
    Pair pair;
    const auto raw = ToRawAddress(*GetSockname(listener.get()));
    pair.client.Reset(::socket(raw->get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(pair.client.get(), raw->get(), raw->length), 0);
    pair.server.Reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    pair.peer = *GetSockname(pair.client.get());
    return pair;
  }
  Pair Connect() { return ConnectTo(listener_); }
  // Ends the log: its lines with `event`.
  std::vector<std::string> Records(std::string_view event) {
    connections_->Close();
    connections_.reset();
    guard_.reset();
    log_.reset();
    std::vector<std::string> lines;
    std::ifstream file(folder_.Path("audit"));
    for (std::string line; std::getline(file, line);) {
      if (line.find(event) != std::string::npos) lines.push_back(line);
    }
    return lines;
  }
  // The connection behind it has been shut down, or closed.
  static bool IsOver(const UniqueFd& fd) {
    pollfd polled = {.fd = fd.get(), .events = POLLRDHUP, .revents = 0};
    return ::poll(&polled, 1, 0) == 1;
  }
  void Identify(const SocketAddress& peer) {
    connections_->Identified(PeerName(peer), {.principal = "somebody", .peer = DecodedPeer(PeerName(peer))});
  }
  // Three are admitted, one after the other, where two have room. The port of the first.
  uint16_t ExpectThirdEndsFirst() {
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
    return first.peer.port;
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
  Identify(second.peer);  // Is not here.
  EXPECT_EQ(connections_->count(), 1u);
  Identify(first.peer);
  EXPECT_EQ(connections_->count(), 0u);
  EXPECT_EQ(guard_->Usage().open_count, 0u);
  EXPECT_TRUE(connections_->Admit(second.server.get(), second.peer));
  EXPECT_FALSE(IsOver(first.client));
  EXPECT_THAT(Records("auth.ok"), ElementsAre(HasSubstr("\"peer\":\"ipv4:127.0.0.1:")));
}

TEST_F(UnauthenticatedConnectionsTest, OneOfIpv6IsIdentified) {
  Make(hours(1));
  const UniqueFd listener = Listen({.family = AddressFamily::kInet6, .host = "::1", .port = 0});
  const Pair pair = ConnectTo(listener);
  EXPECT_TRUE(connections_->Admit(pair.server.get(), pair.peer));
  Identify(pair.peer);
  EXPECT_EQ(connections_->count(), 0u);
  EXPECT_THAT(Records("auth.ok"), ElementsAre(HasSubstr("\"peer\":\"ipv6:[::1]:")));
}

// A client may have one port for connections to two addresses of the service's.
TEST_F(UnauthenticatedConnectionsTest, TwoOfOneNameAreTwo) {
  Make(hours(1));
  const Pair first = Connect();
  const Pair second = Connect();
  EXPECT_TRUE(connections_->Admit(first.server.get(), first.peer));
  EXPECT_TRUE(connections_->Admit(second.server.get(), first.peer));
  EXPECT_EQ(guard_->Usage().open_count, 2u);
  Identify(first.peer);
  EXPECT_EQ(guard_->Usage().open_count, 0u);
}

TEST_F(UnauthenticatedConnectionsTest, OneThatIsHalfClosedEnds) {
  Make(hours(1));
  const Pair pair = Connect();
  EXPECT_TRUE(connections_->Admit(pair.server.get(), pair.peer));
  ::shutdown(pair.client.get(), SHUT_WR);
  EXPECT_TRUE(RunUntil([&] { return IsOver(pair.client); }));
  EXPECT_EQ(connections_->count(), 0u);
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

// Before one that lives has to end for it.
TEST_F(UnauthenticatedConnectionsTest, ThoseThatHaveEndedMakeRoomFirst) {
  Make(hours(1), /*max_open_count=*/2);
  const Pair living = Connect();
  EXPECT_TRUE(connections_->Admit(living.server.get(), living.peer));
  Pair ended = Connect();
  EXPECT_TRUE(connections_->Admit(ended.server.get(), ended.peer));
  ended.client.Reset();
  pollfd polled = {.fd = ended.server.get(), .events = POLLRDHUP, .revents = 0};
  ASSERT_EQ(::poll(&polled, 1, /*timeout=*/20'000), 1);
  const Pair next = Connect();
  EXPECT_TRUE(connections_->Admit(next.server.get(), next.peer));
  EXPECT_FALSE(IsOver(living.client));
  EXPECT_EQ(connections_->count(), 2u);
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
  ExpectThirdEndsFirst();
}

TEST_F(UnauthenticatedConnectionsTest, WhoHasMostLosesAPlace) {
  Make(hours(1), /*max_open_count=*/32, /*max_total_open_count=*/3);
  const Pair slow = Connect();
  const Pair first = Connect();
  const Pair second = Connect();
  const Pair next = Connect();
  const auto from = [](const Pair& pair, std::string host) {
    SocketAddress peer = pair.peer;
    peer.host = std::move(host);
    return peer;
  };
  EXPECT_TRUE(connections_->Admit(slow.server.get(), from(slow, "192.0.2.1")));
  Turn();
  EXPECT_TRUE(connections_->Admit(first.server.get(), from(first, "192.0.2.2")));
  EXPECT_TRUE(connections_->Admit(second.server.get(), from(second, "192.0.2.2")));
  EXPECT_TRUE(connections_->Admit(next.server.get(), from(next, "192.0.2.3")));
  EXPECT_FALSE(IsOver(slow.client));
  EXPECT_EQ(IsOver(first.client) + IsOver(second.client), 1);
}

TEST_F(UnauthenticatedConnectionsTest, WhoTakesAllPlacesOfASourceKeepsNobodyOutOfIt) {
  Make(hours(1), /*max_open_count=*/2);
  const uint16_t port = ExpectThirdEndsFirst();
  EXPECT_THAT(Records("auth.refused"), ElementsAre(AllOf(HasSubstr("of one address: at most 2"), HasSubstr("oldest"),
                                                         HasSubstr(":" + std::to_string(port) + "\""))));
}

TEST_F(UnauthenticatedConnectionsTest, NobodyIsAdmittedAfterClose) {
  Make(hours(1));
  const Pair pair = Connect();
  connections_->Close();
  EXPECT_FALSE(connections_->Admit(pair.server.get(), pair.peer));
  EXPECT_EQ(connections_->count(), 0u);
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
