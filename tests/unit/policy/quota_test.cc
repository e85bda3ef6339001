#include "server/policy/quota.h"

#include <array>
#include <atomic>
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

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Quota Bound(QuotaKind kind, uint64_t bound) {
  Quota quota;
  quota[kind] = bound;
  return quota;
}

Quota Bound(RateKind kind, RateLimit limit) {
  Quota quota;
  quota[kind] = limit;
  return quota;
}

std::string MessageOf(const absl::Status& status) { return ToTransportError(status).message; }

TEST(QuotaTable, TakesUpToTheBoundAndGivesBack) {
  QuotaTable table{Quota()};
  const Quota quota = Bound(QuotaKind::kProcesses, 2);
  auto first = table.Take("a", QuotaKind::kProcesses, quota);
  auto second = table.Take("a", QuotaKind::kProcesses, quota);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());

  const auto third = table.Take("a", QuotaKind::kProcesses, quota);
  EXPECT_THAT(third, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(third, HasReason("QUOTA_EXCEEDED"));
  EXPECT_EQ(MessageOf(third.status()), "quota `processes` of this principal: at most 2");
  EXPECT_EQ(table.Usage().rejected_count[static_cast<size_t>(QuotaKind::kProcesses)], 1U);

  // Others, and other quotas, are not concerned.
  EXPECT_THAT(table.Take("b", QuotaKind::kProcesses, quota), IsOk());
  EXPECT_THAT(table.Take("a", QuotaKind::kSessions, quota), IsOk());

  first->Release();
  EXPECT_THAT(table.Take("a", QuotaKind::kProcesses, quota), IsOk());
}

TEST(QuotaTable, TheServiceHasABoundOfItsOwn) {
  QuotaTable table(Bound(QuotaKind::kSessions, 2));
  const Quota quota = Bound(QuotaKind::kSessions, 8);
  const auto first = table.Take("a", QuotaKind::kSessions, quota);
  auto second = table.Take("b", QuotaKind::kSessions, quota);
  const auto third = table.Take("c", QuotaKind::kSessions, quota);
  EXPECT_THAT(third, HasReason("QUOTA_EXCEEDED"));
  EXPECT_EQ(MessageOf(third.status()), "quota `sessions` of the service: at most 2");
  // The refused one holds nothing.
  EXPECT_THAT(table.Usage().principals, SizeIs(2));
  second->Release();
  EXPECT_THAT(table.Take("c", QuotaKind::kSessions, quota), IsOk());
}

TEST(QuotaTable, ABoundOfZeroAllowsNothing) {
  QuotaTable table{Quota()};
  EXPECT_THAT(table.Take("a", QuotaKind::kListeners, Bound(QuotaKind::kListeners, 0)), HasReason("QUOTA_EXCEEDED"));
}

TEST(QuotaTable, ALoweredBoundTakesNothingAwayAndGivesNothing) {
  QuotaTable table{Quota()};
  auto held = table.Take("a", QuotaKind::kTransports, Bound(QuotaKind::kTransports, 10), 5);
  ASSERT_THAT(held, IsOk());
  const Quota lowered = Bound(QuotaKind::kTransports, 3);
  EXPECT_THAT(table.Take("a", QuotaKind::kTransports, lowered), HasReason("QUOTA_EXCEEDED"));
  held->Set(2);
  EXPECT_THAT(table.Take("a", QuotaKind::kTransports, lowered), IsOk());
}

TEST(QuotaTable, WhatIsMeasuredIsSummedUpAboveTheBoundToo) {
  QuotaTable table(Bound(QuotaKind::kBufferedBytes, 150));
  const Quota quota = Bound(QuotaKind::kBufferedBytes, 100);
  auto mine = table.Take("a", QuotaKind::kBufferedBytes, quota, 0);
  auto also_mine = table.Take("a", QuotaKind::kBufferedBytes, quota, 0);
  auto others = table.Take("b", QuotaKind::kBufferedBytes, quota, 0);
  ASSERT_THAT(mine, IsOk());
  mine->Set(90);
  also_mine->Set(80);
  others->Set(1);
  EXPECT_EQ(mine->PrincipalAmount(), 170U);
  EXPECT_EQ(others->PrincipalAmount(), 1U);
  EXPECT_EQ(table.Usage().held[static_cast<size_t>(QuotaKind::kBufferedBytes)], 171U);
  mine->Set(10);
  EXPECT_EQ(mine->amount(), 10U);
  EXPECT_EQ(also_mine->PrincipalAmount(), 90U);
  also_mine->Release();
  EXPECT_EQ(mine->PrincipalAmount(), 10U);
}

TEST(QuotaTable, TheServicesBoundsMayChange) {
  FakeClock clock;
  QuotaTable table(Quota(), clock);
  const auto first = table.Take("a", QuotaKind::kListeners, Quota());
  const auto second = table.Take("b", QuotaKind::kListeners, Quota());
  Quota service = Bound(QuotaKind::kListeners, 1);
  service[RateKind::kSpawns] = {.per_second = 1, .burst = 1};
  table.SetService(service);
  // Nobody loses what he has.
  EXPECT_EQ(table.Usage().held[static_cast<size_t>(QuotaKind::kListeners)], 2U);
  EXPECT_THAT(table.Take("a", QuotaKind::kListeners, Quota()), HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(table.Spend("a", RateKind::kSpawns, Quota()), IsOk());
  EXPECT_THAT(table.Spend("b", RateKind::kSpawns, Quota()), HasReason("QUOTA_EXCEEDED"));
  table.SetService(Quota());
  EXPECT_THAT(table.Take("a", QuotaKind::kListeners, Quota()), IsOk());
  EXPECT_THAT(table.Spend("b", RateKind::kSpawns, Quota()), IsOk());
}

TEST(QuotaTable, AMovedLeaseIsGivenBackOnce) {
  QuotaTable table{Quota()};
  const Quota quota = Bound(QuotaKind::kSessions, 2);
  auto first = table.Take("a", QuotaKind::kSessions, quota);
  auto second = table.Take("a", QuotaKind::kSessions, quota);
  QuotaTable::Lease moved = *std::move(first);
  moved = *std::move(second);  // Gives back what it held.
  EXPECT_EQ(table.Usage().held[static_cast<size_t>(QuotaKind::kSessions)], 1U);
  moved = QuotaTable::Lease();
  EXPECT_EQ(table.Usage().held[static_cast<size_t>(QuotaKind::kSessions)], 0U);
  EXPECT_THAT(table.Usage().principals, IsEmpty());
}

TEST(QuotaTable, ALeaseMayOutliveTheTable) {
  auto table = std::make_unique<QuotaTable>(Quota());
  auto lease = table->Take("a", QuotaKind::kSessions, Quota());
  table.reset();
  lease->Set(2);
  EXPECT_EQ(lease->PrincipalAmount(), 2U);
}

TEST(QuotaTable, ARateLetsABurstThroughAndSaysWhenToComeBack) {
  FakeClock clock;
  QuotaTable table(Quota(), clock);
  const Quota quota = Bound(RateKind::kSpawns, {.per_second = 2, .burst = 3});
  for (int i = 0; i < 3; ++i) EXPECT_THAT(table.Spend("a", RateKind::kSpawns, quota), IsOk());
  clock.Advance(milliseconds(100));
  const absl::Status refused = table.Spend("a", RateKind::kSpawns, quota);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(refused, HasReason("QUOTA_EXCEEDED"));
  EXPECT_EQ(MessageOf(refused), "quota `spawns` of this principal: 2 a second, 3 at once; try again in 0.400 s");
  EXPECT_THAT(table.Spend("b", RateKind::kSpawns, quota), IsOk());
  EXPECT_THAT(table.Spend("a", RateKind::kConnects, quota), IsOk());

  // A refusal costs nothing: at the moment it named there is one, and only one.
  clock.Advance(milliseconds(400));
  EXPECT_THAT(table.Spend("a", RateKind::kSpawns, quota), IsOk());
  EXPECT_THAT(table.Spend("a", RateKind::kSpawns, quota), HasReason("QUOTA_EXCEEDED"));

  clock.Advance(seconds(100));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(table.Spend("a", RateKind::kSpawns, quota), IsOk());
  EXPECT_THAT(table.Spend("a", RateKind::kSpawns, quota), HasReason("QUOTA_EXCEEDED"));
  EXPECT_EQ(table.Usage().rate_rejected_count[static_cast<size_t>(RateKind::kSpawns)], 3U);
}

TEST(QuotaTable, ARateWithoutABurstLetsASecondsWorthThrough) {
  FakeClock clock;
  QuotaTable table(Quota(), clock);
  const Quota slow = Bound(RateKind::kConnects, {.per_second = 0.1});
  EXPECT_THAT(table.Spend("a", RateKind::kConnects, slow), IsOk());
  EXPECT_THAT(MessageOf(table.Spend("a", RateKind::kConnects, slow)),
              HasSubstr("0.1 a second, 1 at once; try again in 10.000 s"));
  const Quota fast = Bound(RateKind::kConnects, {.per_second = 2.5});
  for (int i = 0; i < 3; ++i) EXPECT_THAT(table.Spend("b", RateKind::kConnects, fast), IsOk());
  EXPECT_THAT(table.Spend("b", RateKind::kConnects, fast), HasReason("QUOTA_EXCEEDED"));
}

TEST(QuotaTable, AllTogetherHaveARate) {
  FakeClock clock;
  QuotaTable table(Bound(RateKind::kResolutions, {.per_second = 1, .burst = 2}), clock);
  const Quota quota = Bound(RateKind::kResolutions, {.per_second = 1, .burst = 2});
  EXPECT_THAT(table.Spend("a", RateKind::kResolutions, quota), IsOk());
  EXPECT_THAT(table.Spend("b", RateKind::kResolutions, quota), IsOk());
  EXPECT_THAT(MessageOf(table.Spend("a", RateKind::kResolutions, quota)), HasSubstr("of the service"));
  clock.Advance(seconds(1));
  // What the service refused did not cost the principal's own.
  EXPECT_THAT(table.Spend("a", RateKind::kResolutions, quota), IsOk());
}

TEST(QuotaTable, ANewRateCountsFromNowOn) {
  FakeClock clock;
  QuotaTable table(Quota(), clock);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(table.Spend("a", RateKind::kConnects, Bound(RateKind::kConnects, {.per_second = 100, .burst = 100})),
                IsOk());
  }
  const Quota lowered = Bound(RateKind::kConnects, {.per_second = 1, .burst = 2});
  EXPECT_THAT(table.Spend("a", RateKind::kConnects, lowered), IsOk());
  EXPECT_THAT(table.Spend("a", RateKind::kConnects, lowered), IsOk());
  EXPECT_THAT(table.Spend("a", RateKind::kConnects, lowered), HasReason("QUOTA_EXCEEDED"));
}

TEST(QuotaTable, ForgetsPrincipalsThatHoldNothingAndOweNothing) {
  FakeClock clock;
  QuotaTable table(Quota(), clock);
  const Quota quota = Bound(RateKind::kConnects, {.per_second = 1, .burst = 1});
  const auto held = table.Take("holds", QuotaKind::kSessions, Quota());
  for (int i = 0; i < 10000; ++i) {
    EXPECT_THAT(table.Spend("p" + std::to_string(i), RateKind::kConnects, quota), IsOk());
    if (i % 100 == 0) clock.Advance(seconds(1));
  }
  EXPECT_LT(table.Usage().remembered_count, 500U);
  EXPECT_THAT(table.Usage().principals, SizeIs(1));
  EXPECT_EQ(table.Usage().principals[0].principal, "holds");
}

TEST(QuotaTable, WhoSpentIsRememberedHoweverManyOthersCome) {
  FakeClock clock;
  QuotaTable table(Quota(), clock);
  const Quota quota = Bound(RateKind::kSpawns, {.per_second = 0.001, .burst = 1});
  EXPECT_THAT(table.Spend("a", RateKind::kSpawns, quota), IsOk());
  for (int i = 0; i < 1000; ++i) {
    EXPECT_THAT(table.Take("p" + std::to_string(i), QuotaKind::kSessions, Quota()), IsOk());
    clock.Advance(milliseconds(1));
  }
  EXPECT_LT(table.Usage().remembered_count, 200U);
  EXPECT_THAT(table.Spend("a", RateKind::kSpawns, quota), HasReason("QUOTA_EXCEEDED"));
}

TEST(QuotaTable, RemembersABoundedNumber) {
  FakeClock clock;
  QuotaTable table(Quota(), clock, /*max_principal_count=*/100);
  const Quota quota = Bound(RateKind::kConnects, {.per_second = 1, .burst = 1});
  for (int i = 0; i < 100; ++i) EXPECT_THAT(table.Spend("p" + std::to_string(i), RateKind::kConnects, quota), IsOk());
  EXPECT_THAT(table.Spend("one more", RateKind::kConnects, quota), HasReason("QUOTA_EXCEEDED"));
  EXPECT_THAT(table.Take("one more", QuotaKind::kSessions, Quota()), HasReason("QUOTA_EXCEEDED"));
  clock.Advance(seconds(1));
  EXPECT_THAT(table.Take("one more", QuotaKind::kSessions, Quota()), IsOk());
}

TEST(QuotaTable, ThreadsNeverHoldMoreThanTheBoundAndLeaveNothing) {
  QuotaTable table(Bound(QuotaKind::kTransports, 12));
  const Quota quota = Bound(QuotaKind::kTransports, 8);
  std::array<std::atomic<int>, 2> held = {};
  std::atomic<int> too_many = 0;
  std::vector<std::thread> threads;
  for (size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      const size_t who = thread % 2;
      for (int i = 0; i < 2000; ++i) {
        std::vector<QuotaTable::Lease> leases;
        for (int j = 0; j < 5; ++j) {
          auto lease = table.Take(who == 0 ? "a" : "b", QuotaKind::kTransports, quota);
          if (!lease.ok()) continue;
          if (held[who].fetch_add(1) >= 8) ++too_many;
          leases.push_back(*std::move(lease));
        }
        // Shown as gone before it is.
        held[who] -= static_cast<int>(leases.size());
        (void)table.Spend(std::to_string(i), RateKind::kConnects, DefaultPrincipalQuota());
        if (i % 100 == 0) (void)table.Usage();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(too_many, 0);
  EXPECT_EQ(table.Usage().held[static_cast<size_t>(QuotaKind::kTransports)], 0U);
  EXPECT_THAT(table.Usage().principals, IsEmpty());
}

TEST(Quota, TheDefaultsAreFinite) {
  const Quota principal = DefaultPrincipalQuota();
  EXPECT_EQ(principal[QuotaKind::kSessions], 8U);
  EXPECT_EQ(principal[QuotaKind::kTransports], 64U);
  EXPECT_EQ(principal[QuotaKind::kListeners], 8U);
  EXPECT_EQ(principal[QuotaKind::kProcesses], 4U);
  EXPECT_EQ(principal[QuotaKind::kBufferedBytes], 16U * 1024 * 1024);
  EXPECT_EQ(principal[RateKind::kConnects], (RateLimit{20, 50}));
  EXPECT_EQ(principal[RateKind::kSpawns], (RateLimit{2, 8}));
  EXPECT_EQ(principal[RateKind::kResolutions], (RateLimit{10, 20}));
}

TEST(Quota, OfSeveralRolesTheLargestCounts) {
  v1::Quota small;
  small.set_sessions(1);
  small.set_listeners(0);
  small.mutable_connects()->set_per_second(5);
  small.mutable_connects()->set_burst(100);
  small.mutable_session_age()->set_seconds(60);
  v1::Quota large;
  large.set_sessions(3);
  large.set_buffered_bytes(1U << 20);
  large.mutable_connects()->set_per_second(6);
  large.mutable_spawns()->set_per_second(2.5);
  large.mutable_session_age()->set_seconds(90);
  large.mutable_session_idle()->set_nanos(5);
  const std::array<const v1::Quota*, 2> roles = {&large, &small};
  const Quota merged = MergeQuotas(roles, DefaultPrincipalQuota());
  Quota expected = DefaultPrincipalQuota();
  expected[QuotaKind::kSessions] = 3;  // Below the default: it was set.
  expected[QuotaKind::kListeners] = 0;
  expected[QuotaKind::kBufferedBytes] = 1U << 20;
  expected[RateKind::kConnects] = {.per_second = 6, .burst = 100};
  expected[RateKind::kSpawns] = {.per_second = 2.5, .burst = 3};
  expected.session_age = seconds(90);
  expected.session_idle = std::chrono::nanoseconds(5);
  EXPECT_EQ(merged, expected);
  EXPECT_EQ(MergeQuotas({}, DefaultPrincipalQuota()), DefaultPrincipalQuota());
}

}  // namespace
}  // namespace transportd
