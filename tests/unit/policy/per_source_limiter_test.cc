#include "server/policy/per_source_limiter.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

SocketAddress V4(std::string host) { return {.family = AddressFamily::kInet, .host = std::move(host), .port = 4711}; }
SocketAddress V6(std::string host) { return {.family = AddressFamily::kInet6, .host = std::move(host), .port = 4711}; }

TEST(PerSourceLimiter, BoundsTheOpenConnectionsOfASource) {
  PerSourceLimiter limiter({.max_open_count = 2});
  auto first = limiter.Admit(V4("192.0.2.1"));
  const auto second = limiter.Admit(V4("192.0.2.1"));
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  const auto third = limiter.Admit(V4("192.0.2.1"));
  EXPECT_THAT(third, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(third, HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.2")), IsOk());
  first->Release();
  first->Release();
  EXPECT_EQ(limiter.Usage().open_count, 1U);
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), IsOk());
  EXPECT_EQ(limiter.Usage().rejected_count, 1U);
}

TEST(PerSourceLimiter, AnIpv6SourceIsANetworkOf64Bits) {
  PerSourceLimiter limiter({.max_open_count = 1});
  const auto held = limiter.Admit(V6("2001:db8:0:1::1"));
  EXPECT_THAT(limiter.Admit(V6("2001:db8:0:1:ffff:ffff:ffff:ffff")), HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(limiter.Admit(V6("2001:db8:0:2::1")), IsOk());
}

TEST(PerSourceLimiter, AMappedAddressIsTheIpv4One) {
  PerSourceLimiter limiter({.max_open_count = 1});
  const auto held = limiter.Admit(V6("::ffff:192.0.2.1"));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(limiter.Admit(V6("::ffff:192.0.2.2")), IsOk());
  // The same bits as a network of IPv6.
  EXPECT_THAT(limiter.Admit(V6("c000:201::")), IsOk());
}

TEST(PerSourceLimiter, AUnixSocketHasNoSource) {
  PerSourceLimiter limiter({.max_open_count = 0});
  const SocketAddress peer = {.family = AddressFamily::kUnix};
  for (int i = 0; i < 10; ++i) limiter.AuthFailed(peer);
  EXPECT_THAT(limiter.Admit(peer), IsOk());
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(limiter.Admit(V4("name.example")), HasReason("INVALID_HOST"));
}

TEST(PerSourceLimiter, BoundsThoseOfAllSources) {
  PerSourceLimiter limiter({.max_open_count = 2, .max_total_open_count = 3});
  std::vector<absl::StatusOr<PerSourceLimiter::Lease>> leases;
  for (const char* host : {"192.0.2.1", "192.0.2.2", "192.0.2.3"}) leases.push_back(limiter.Admit(V4(host)));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.4")), HasReason("QUOTA_EXCEEDED"));
  EXPECT_EQ(limiter.Usage().source_count, 3U);
  leases.clear();
  EXPECT_EQ(limiter.Usage().open_count, 0U);
  EXPECT_EQ(limiter.Usage().source_count, 0U);
}

TEST(PerSourceLimiter, ALeaseMovesAndMayOutliveTheLimiter) {
  auto limiter = std::make_unique<PerSourceLimiter>();
  auto first = limiter->Admit(V4("192.0.2.1"));
  auto second = limiter->Admit(V4("192.0.2.1"));
  PerSourceLimiter::Lease lease = *std::move(first);
  lease = *std::move(second);
  EXPECT_EQ(limiter->Usage().open_count, 1U);
  limiter.reset();
}

TEST(PerSourceLimiter, FailuresAreForgivenUntilTheyAreMany) {
  FakeClock clock;
  PerSourceLimiter limiter({}, clock);
  limiter.AuthFailed(V4("192.0.2.1"));
  limiter.AuthFailed(V4("192.0.2.1"));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), IsOk());
  limiter.AuthFailed(V4("192.0.2.1"));  // 15 s.
  const auto refused = limiter.Admit(V4("192.0.2.1"));
  EXPECT_THAT(refused, HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(ToTransportError(refused.status()).message, HasSubstr("try again in 1"));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.2")), IsOk());

  // In force to its end, and then gone.
  clock.Advance(seconds(14));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), HasReason("QUOTA_EXCEEDED"));
  clock.Advance(seconds(1));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), IsOk());
  EXPECT_EQ(limiter.Usage().penalty_count, 0U);
}

TEST(PerSourceLimiter, ALinkLocalAddressIsPunishedToo) {
  FakeClock clock;
  PerSourceLimiter limiter({}, clock);
  for (int i = 0; i < 3; ++i) limiter.AuthFailed(V6("fe80::1%eth0"));
  EXPECT_THAT(limiter.Admit(V6("fe80::1%eth0")), HasReason("QUOTA_EXCEEDED"));
}

TEST(PerSourceLimiter, SaysWhyOneIsRefused) {
  using Refusal = PerSourceLimiter::Refusal;
  PerSourceLimiter limiter({.max_open_count = 1, .max_total_open_count = 2});
  const auto first = limiter.Admit(V4("192.0.2.1"));
  const auto second = limiter.Admit(V4("192.0.2.2"));
  Refusal refusal{};
  EXPECT_FALSE(limiter.Admit(V4("192.0.2.1"), &refusal).ok());
  EXPECT_EQ(refusal, Refusal::kSourceFull);
  EXPECT_FALSE(limiter.Admit(V4("192.0.2.3"), &refusal).ok());
  EXPECT_EQ(refusal, Refusal::kFull);
  for (int i = 0; i < 3; ++i) limiter.AuthFailed(V4("192.0.2.1"));
  EXPECT_FALSE(limiter.Admit(V4("192.0.2.1"), &refusal).ok());
  EXPECT_EQ(refusal, Refusal::kPunished);
}

TEST(PerSourceLimiter, APenaltyPassesWithTime) {
  FakeClock clock;
  PerSourceLimiter limiter({}, clock);
  for (int i = 0; i < 100; ++i) {
    limiter.AuthFailed(V4("192.0.2.1"));
    clock.Advance(seconds(4));
    if (i == 8) break;  // 5 s more and 4 s less: 12.5 s are passed with the ninth.
    EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), IsOk()) << i;
  }
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), HasReason("QUOTA_EXCEEDED"));
}

TEST(PerSourceLimiter, APenaltyHasAMaximum) {
  FakeClock clock;
  PerSourceLimiter limiter({}, clock);
  for (int i = 0; i < 1000; ++i) limiter.AuthFailed(V6("2001:db8::1"));
  clock.Advance(minutes(10) - seconds(1));
  EXPECT_THAT(limiter.Admit(V6("2001:db8::2")), HasReason("QUOTA_EXCEEDED"));
  clock.Advance(seconds(1));
  EXPECT_THAT(limiter.Admit(V6("2001:db8::2")), IsOk());
}

TEST(PerSourceLimiter, RemembersABoundedNumberAndForgetsTheShortestFirst) {
  FakeClock clock;
  PerSourceLimiter limiter({.max_penalty_count = 2}, clock);
  for (int i = 0; i < 10; ++i) limiter.AuthFailed(V4("192.0.2.1"));
  for (int i = 0; i < 3; ++i) limiter.AuthFailed(V4("192.0.2.2"));
  for (int i = 0; i < 3; ++i) limiter.AuthFailed(V4("192.0.2.3"));
  EXPECT_EQ(limiter.Usage().penalty_count, 2U);
  EXPECT_THAT(limiter.Admit(V4("192.0.2.1")), HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(limiter.Admit(V4("192.0.2.2")), IsOk());
  EXPECT_THAT(limiter.Admit(V4("192.0.2.3")), HasReason("QUOTA_EXCEEDED"));
}

TEST(PerSourceLimiter, ThreadsLeaveNothingBehind) {
  FakeClock clock;
  PerSourceLimiter limiter({.max_open_count = 3, .max_total_open_count = 10, .max_penalty_count = 5}, clock);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 2000; ++i) {
        const SocketAddress peer = V4("192.0.2." + std::to_string((i + thread) % 20));
        const auto first = limiter.Admit(peer);
        const auto second = limiter.Admit(peer);
        if (i % 7 == 0) limiter.AuthFailed(peer);
        if (i % 50 == 0) clock.Advance(seconds(1));
        if (i % 100 == 0) (void)limiter.Usage();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(limiter.Usage().open_count, 0U);
  EXPECT_EQ(limiter.Usage().source_count, 0U);
  EXPECT_LE(limiter.Usage().penalty_count, 5U);
}

}  // namespace
}  // namespace transportd
