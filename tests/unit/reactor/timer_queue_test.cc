#include "transports/reactor/timer_queue.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TimePoint At(int second) { return TimePoint(std::chrono::seconds(second)); }

TEST(TimerQueue, FiresInOrderOfTimeThenOfAdding) {
  TimerQueue timers;
  std::string fired;
  timers.Add(At(3), [&] { fired += "c"; });
  timers.Add(At(1), [&] { fired += "a"; });
  timers.Add(At(3), [&] { fired += "d"; });
  timers.Add(At(2), [&] { fired += "b"; });
  timers.RunDue(At(3));
  EXPECT_EQ(fired, "abcd");
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimerQueue, FiresAtItsTimeAndNotBefore) {
  TimerQueue timers;
  int fired = 0;
  timers.Add(At(2), [&] { ++fired; });
  timers.RunDue(At(2) - Duration(1));
  EXPECT_EQ(fired, 0);
  EXPECT_EQ(timers.NextTime(), At(2));
  timers.RunDue(At(2));
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(timers.NextTime(), std::nullopt);
}

TEST(TimerQueue, CancelledTimerIsDestroyedUncalled) {
  TimerQueue timers;
  auto owned = std::make_shared<int>(0);
  const TimerId timer = timers.Add(At(1), [owned] { FAIL(); });
  EXPECT_TRUE(timers.Cancel(timer));
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_FALSE(timers.Cancel(timer));
  timers.RunDue(At(2));
}

TEST(TimerQueue, FiredTimerCannotBeCancelledNorCanItsOwnCallbackCancelIt) {
  TimerQueue timers;
  TimerId timer = 0;
  bool cancelled = true;
  timer = timers.Add(At(1), [&] { cancelled = timers.Cancel(timer); });
  timers.RunDue(At(1));
  EXPECT_FALSE(cancelled);
  EXPECT_FALSE(timers.Cancel(timer));
  EXPECT_FALSE(timers.Cancel(0));
}

TEST(TimerQueue, CallbackCancelsAnotherThatIsDueInTheSameRun) {
  TimerQueue timers;
  TimerId second = 0;
  timers.Add(At(1), [&] { EXPECT_TRUE(timers.Cancel(second)); });
  second = timers.Add(At(1), [] { FAIL(); });
  timers.RunDue(At(1));
}

TEST(TimerQueue, TimerAddedWhileRunningWaitsForTheNextRunAndHidesNoOther) {
  TimerQueue timers;
  std::string fired;
  timers.Add(At(1), [&] {
    fired += "a";
    timers.Add(At(0), [&] { fired += "late"; });
  });
  timers.Add(At(2), [&] { fired += "b"; });
  timers.RunDue(At(3));
  EXPECT_EQ(fired, "ab");
  timers.RunDue(At(3));
  EXPECT_EQ(fired, "ablate");
}

TEST(TimerQueue, ClearDestroysUncalled) {
  TimerQueue timers;
  auto owned = std::make_shared<int>(0);
  for (int i = 0; i < 10; ++i) timers.Add(At(i), [owned] { FAIL(); });
  timers.Clear();
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(timers.size(), 0u);
}

TEST(TimerQueue, RandomAddsAndCancelsFireInTheOrderOfASort) {
  std::mt19937 random(7);
  TimerQueue timers;
  std::vector<int> fired;
  std::vector<std::pair<TimerId, std::pair<int, int>>> live;  // Id, (time, number).
  for (int number = 0; number < 5000; ++number) {
    const int time = static_cast<int>(random() % 500);
    live.push_back({timers.Add(At(time), [&fired, number] { fired.push_back(number); }), {time, number}});
    if (random() % 3 == 0) {
      const size_t victim = random() % live.size();
      ASSERT_TRUE(timers.Cancel(live[victim].first));
      live.erase(live.begin() + static_cast<ptrdiff_t>(victim));
    }
  }
  ASSERT_EQ(timers.size(), live.size());
  for (int time = 0; time < 500; time += 7) timers.RunDue(At(time));
  timers.RunDue(At(500));
  std::sort(live.begin(), live.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  std::vector<int> expected;
  for (const auto& one : live) expected.push_back(one.second.second);
  EXPECT_EQ(fired, expected);
}

}  // namespace
}  // namespace transportd
