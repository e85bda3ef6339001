#include "transports/reactor/reactor.h"

#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ReactorTest : public LoopFixture {
 protected:
  std::string order_;
};

TEST_F(ReactorTest, CallSoonRunsInOrderInTheNextTurn) {
  reactor().CallSoon([this] { order_ += "a"; });
  reactor().CallSoon([this] { order_ += "b"; });
  EXPECT_EQ(order_, "");
  Turn();
  EXPECT_EQ(order_, "ab");
}

TEST_F(ReactorTest, CallbackQueuedByACallbackRunsOneTurnLater) {
  reactor().CallSoon([this] {
    order_ += "a";
    reactor().CallSoon([this] { order_ += "c"; });
  });
  reactor().CallSoon([this] { order_ += "b"; });
  Turn();
  EXPECT_EQ(order_, "ab");
  Turn();
  EXPECT_EQ(order_, "abc");
}

TEST_F(ReactorTest, CallbackIsDestroyedRightAfterItsCall) {
  auto owned = std::make_shared<int>(0);
  long uses_in_second = 0;
  reactor().CallSoon([owned] {});
  reactor().CallSoon([&] { uses_in_second = owned.use_count(); });
  Turn();
  EXPECT_EQ(uses_in_second, 1);
}

TEST_F(ReactorTest, TurnRunsTimersThenCallbacksThenTurnEndThenDeletes) {
  struct Deleted {
    std::string& order;
    ~Deleted() { order += "D"; }
  };
  reactor().DeferredDelete(std::make_shared<Deleted>(Deleted{order_}));
  order_.clear();  // The temporary's own end.
  reactor().AtTurnEnd([this] {
    order_ += "E";
    reactor().AtTurnEnd([this] { order_ += "e"; });
  });
  reactor().CallSoon([this] { order_ += "C"; });
  reactor().CallLater(Duration::zero(), [this] { order_ += "T"; });
  Turn();
  EXPECT_EQ(order_, "TCEeD");
}

TEST_F(ReactorTest, DeferredDeleteKeepsTheObjectUntilTheTurnEnds) {
  auto object = std::make_shared<int>(0);
  std::weak_ptr<int> watcher = object;
  bool alive_in_callback = false;
  reactor().CallSoon([&, object = std::move(object)]() mutable {
    reactor().DeferredDelete(std::move(object));
    alive_in_callback = !watcher.expired();
  });
  Turn();
  EXPECT_TRUE(alive_in_callback);
  EXPECT_TRUE(watcher.expired());
}

TEST_F(ReactorTest, CallSoonThreadsafeOnTheLoopThreadKeepsItsPlace) {
  reactor().CallSoonThreadsafe([this] { order_ += "0"; });
  reactor().CallSoon([this] {
    reactor().CallSoon([this] { order_ += "a"; });
    reactor().CallSoonThreadsafe([this] { order_ += "b"; });
    reactor().CallSoon([this] { order_ += "c"; });
  });
  Turn(2);
  EXPECT_EQ(order_, "0abc");
}

TEST_F(ReactorTest, CallSoonThreadsafeIsFifoForEachThreadAndLosesNothing) {
  constexpr int kThreads = 4;
  constexpr int kEach = 20000;
  std::vector<int> seen(kThreads, 0);
  int total = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        reactor().CallSoonThreadsafe([&, t, i] {
          EXPECT_EQ(seen[static_cast<size_t>(t)]++, i);
          if (++total == kThreads * kEach) reactor().Stop();
        });
      }
    });
  }
  reactor().RunForever();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total, kThreads * kEach);
}

TEST_F(ReactorTest, PostWakesASleepingLoopEveryTime) {
  // Each post waits for the one before, so the loop mostly sleeps: a lost wake-up hangs here.
  std::atomic<int> done{0};
  std::thread poster([&] {
    for (int i = 1; i <= 2000; ++i) {
      reactor().CallSoonThreadsafe([&, i] { done.store(i); });
      while (done.load() != i) std::this_thread::yield();
    }
    reactor().Stop();
  });
  reactor().RunForever();
  poster.join();
  EXPECT_EQ(done.load(), 2000);
}

TEST_F(ReactorTest, StopFromAnotherThreadEndsASleepingLoopEveryTime) {
  for (int i = 0; i < 200; ++i) {
    std::thread stopper([&] { reactor().Stop(); });
    reactor().RunForever();
    stopper.join();
  }
}

TEST_F(ReactorTest, StopBeforeRunEndsTheFirstTurnAndRunsItsCallbacks) {
  reactor().CallSoon([this] { order_ += "a"; });
  reactor().Stop();
  reactor().RunForever();
  EXPECT_EQ(order_, "a");
  // And only the first.
  EXPECT_FALSE(reactor().RunOnce(Duration::zero()));
}

TEST_F(ReactorTest, StopInACallbackFinishesTheTurn) {
  reactor().CallSoon([this] {
    reactor().Stop();
    order_ += "a";
  });
  reactor().CallSoon([this] { order_ += "b"; });
  reactor().AtTurnEnd([this] { order_ += "e"; });
  reactor().RunForever();
  EXPECT_EQ(order_, "abe");
}

TEST_F(ReactorTest, TimerWakesTheLoopInTimeAndNeverEarly) {
  for (Duration delay : {Duration(1), Duration(std::chrono::microseconds(300)), Duration(milliseconds(5))}) {
    const TimePoint due = reactor().Time() + delay;
    TimePoint fired;
    reactor().CallAt(due, [&] {
      fired = reactor().Time();
      reactor().Stop();
    });
    reactor().RunForever();
    EXPECT_GE(fired, due);
  }
}

TEST_F(ReactorTest, SleepingForATimerTakesFewTurns) {
  bool fired = false;
  reactor().CallLater(std::chrono::microseconds(10500), [&] { fired = true; });
  int turns = 0;
  while (!fired) {
    reactor().RunOnce(Duration(-1));
    ++turns;
  }
  EXPECT_LE(turns, 3);  // Rounding the wait down would make it spin through the last half millisecond.
}

TEST_F(ReactorTest, SignalDuringTheWaitDoesNoHarm) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  const pthread_t loop = pthread_self();
  std::thread signaller([&] {
    for (int i = 0; i < 50; ++i) {
      pthread_kill(loop, SIGUSR1);
      std::this_thread::yield();
    }
    reactor().Stop();
  });
  reactor().RunForever();
  signaller.join();
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(ReactorTest, CountsTellWhatIsAlive) {
  const TimerId timer = reactor().CallLater(seconds(1000), [] {});
  reactor().CallSoon([] {});
  reactor().AtTurnEnd([] {});
  reactor().CallSoonThreadsafe([] {});
  EXPECT_EQ(reactor().GetCounts().timers, 1u);
  EXPECT_EQ(reactor().GetCounts().callbacks, 3u);
  EXPECT_TRUE(reactor().CancelTimer(timer));
  Turn();
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
  EXPECT_EQ(reactor().GetCounts().callbacks, 0u);
}

using ReactorDeathTest = ReactorTest;

TEST_F(ReactorDeathTest, UseFromAnotherThreadWhileItRunsAborts) {
  EXPECT_DEATH(
      {
        reactor().CallSoon([this] { std::thread([this] { reactor().CallSoon([] {}); }).join(); });
        Turn();
      },
      "CHECK failed");
}

TEST_F(ReactorDeathTest, RunningItFromItsOwnCallbackAborts) {
  EXPECT_DEATH(
      {
        reactor().CallSoon([this] { reactor().RunOnce(Duration::zero()); });
        Turn();
      },
      "CHECK failed");
}

TEST_F(ReactorDeathTest, WatchThatOutlivesItAborts) {
  EXPECT_DEATH(
      {
        FdHandler handler;
        auto other = Reactor::Create().value();
        other->AddWatch(0, handler);
        other.reset();
      },
      "CHECK failed");
}

TEST(ReactorWithFakeClock, TimersFollowTheClockAlone) {
  FakeClock clock;
  auto reactor = Reactor::Create(clock).value();
  std::string fired;
  reactor->CallLater(seconds(2), [&] { fired += "b"; });
  reactor->CallLater(seconds(1), [&] { fired += "a"; });
  reactor->RunOnce(Duration::zero());
  EXPECT_EQ(fired, "");
  clock.Advance(seconds(1));
  reactor->RunOnce(Duration::zero());
  EXPECT_EQ(fired, "a");
  clock.Advance(seconds(3600));
  reactor->RunOnce(Duration(-1));  // Due: it does not wait.
  EXPECT_EQ(fired, "ab");
}

TEST(ReactorWithFakeClock, TimeStandsStillWithinATurn) {
  FakeClock clock;
  auto reactor = Reactor::Create(clock).value();
  TimePoint first, second;
  reactor->CallSoon([&] {
    first = reactor->Time();
    clock.Advance(seconds(1));
  });
  reactor->CallSoon([&] { second = reactor->Time(); });
  reactor->RunOnce(Duration::zero());
  EXPECT_EQ(first, second);
  EXPECT_EQ(reactor->Time(), first + seconds(1));
}

TEST(ReactorWithFakeClock, AbsurdDelaysAreClamped) {
  FakeClock clock;
  auto reactor = Reactor::Create(clock).value();
  int fired = 0;
  const TimerId never = reactor->CallLater(Duration::max(), [&] { fired += 100; });
  reactor->CallLater(Duration::min(), [&] { ++fired; });
  reactor->CallAt(TimePoint::min(), [&] { ++fired; });
  reactor->RunOnce(Duration::zero());
  EXPECT_EQ(fired, 2);
  EXPECT_TRUE(reactor->CancelTimer(never));
}

TEST(ReactorWithFakeClock, ZeroDelayTimerOfATimerFiresInTheNextTurn) {
  FakeClock clock;
  auto reactor = Reactor::Create(clock).value();
  int fired = 0;
  reactor->CallLater(Duration::zero(), [&] {
    ++fired;
    reactor->CallLater(Duration::zero(), [&] { ++fired; });
  });
  reactor->RunOnce(Duration::zero());
  EXPECT_EQ(fired, 1);
  reactor->RunOnce(Duration::zero());
  EXPECT_EQ(fired, 2);
}

TEST(ReactorDestruction, DestroysEverythingUncalled) {
  auto reactor = Reactor::Create().value();
  auto owned = std::make_shared<int>(0);
  reactor->CallSoon([owned] { FAIL(); });
  reactor->CallSoonThreadsafe([owned] { FAIL(); });
  reactor->AtTurnEnd([owned] { FAIL(); });
  reactor->CallLater(Duration::zero(), [owned] { FAIL(); });
  reactor->DeferredDelete(owned);
  reactor.reset();
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(ReactorDestruction, WhatACallbackOwnsMayUseTheReactorWhileItGoes) {
  struct Owner {
    Reactor& reactor;
    FdHandler handler;
    WatchId watch = reactor.AddWatch(0, handler);
    explicit Owner(Reactor& r) : reactor(r) {}
    ~Owner() {
      reactor.RemoveWatch(watch);
      reactor.CallSoon([] { FAIL(); });
      reactor.CallSoonThreadsafe([] { FAIL(); });
      reactor.CallLater(Duration::zero(), [] { FAIL(); });
      reactor.AtTurnEnd([] { FAIL(); });
      reactor.DeferredDelete(std::make_shared<int>(0));
    }
  };
  auto reactor = Reactor::Create().value();
  reactor->CallSoon([owner = std::make_unique<Owner>(*reactor)] {});
  reactor->CallLater(Duration::zero(), [owner = std::make_unique<Owner>(*reactor)] {});
  reactor->DeferredDelete(std::make_shared<Owner>(*reactor));
  reactor.reset();
}

TEST(ReactorDestruction, TaskQueueOutlivesItAndDestroysWhatIsPosted) {
  auto reactor = Reactor::Create().value();
  std::shared_ptr<TaskQueue> queue = reactor->task_queue();
  int ran = 0;
  queue->Post([&] { ++ran; });
  reactor->RunOnce(Duration::zero());
  EXPECT_EQ(ran, 1);
  reactor.reset();
  auto owned = std::make_shared<int>(0);
  queue->Post([owned] { FAIL(); });
  EXPECT_EQ(owned.use_count(), 1);
}

}  // namespace
}  // namespace transportd
