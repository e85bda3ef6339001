// Turns that another thread runs while the loop's thread sleeps: Reactor::CallNowThreadsafe.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd {
namespace {

// A reactor that runs on a thread of its own.
class LentTurnTest : public testing::Test {
 protected:
  void SetUp() override {
    auto reactor = Reactor::Create();
    ASSERT_TRUE(reactor.ok());
    reactor_ = *std::move(reactor);
    runner_ = std::thread([this] { reactor_->RunForever(); });
  }
  void TearDown() override {
    if (!runner_.joinable()) return;
    reactor_->Stop();
    runner_.join();
  }

  // Calls `callback` in a turn that is lent to this thread: asks until the loop's thread is asleep.
  void Lend(const std::function<void()>& callback) {
    bool lent = false;
    while (!lent) {
      std::promise<bool> ran;
      const auto self = std::this_thread::get_id();
      reactor_->CallNowThreadsafe([&] {
        const bool is_lent = std::this_thread::get_id() == self;
        if (is_lent) callback();
        ran.set_value(is_lent);
      });
      lent = ran.get_future().get();
    }
  }

  std::unique_ptr<Reactor> reactor_;
  std::thread runner_;
};

TEST_F(LentTurnTest, WhileTheLoopSleepsTheCallIsOverWhenItReturns) {
  bool turn_ended = false;
  Lend([&] { reactor_->AtTurnEnd([&] { turn_ended = true; }); });
  EXPECT_TRUE(turn_ended);
}

TEST_F(LentTurnTest, WhileTheLoopIsBusyItsOwnThreadCalls) {
  std::promise<void> busy;
  std::promise<void> may_go_on;
  reactor_->CallSoonThreadsafe([&] {
    busy.set_value();
    may_go_on.get_future().wait();
  });
  busy.get_future().wait();
  std::promise<std::thread::id> caller;
  reactor_->CallNowThreadsafe([&] { caller.set_value(std::this_thread::get_id()); });
  auto called_on = caller.get_future();
  EXPECT_EQ(called_on.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  may_go_on.set_value();
  EXPECT_EQ(called_on.get(), runner_.get_id());
}

TEST_F(LentTurnTest, InATurnItIsCallSoon) {
  std::vector<int> order;
  Lend([&] {
    reactor_->CallNowThreadsafe([&] { order.push_back(2); });
    order.push_back(1);
  });
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST_F(LentTurnTest, TimerThatIsSetInItWakesTheLoop) {
  std::promise<std::thread::id> fired;
  Lend(
      [&] { reactor_->CallLater(std::chrono::milliseconds(1), [&] { fired.set_value(std::this_thread::get_id()); }); });
  EXPECT_EQ(fired.get_future().get(), runner_.get_id());
}

TEST_F(LentTurnTest, WhatGoesOnForLongIsTheLoopsAgain) {
  std::promise<std::thread::id> last;
  int left = 50;
  std::function<void()> next = [&] {
    if (--left == 0) return last.set_value(std::this_thread::get_id());
    reactor_->CallSoon(next);
  };
  Lend(next);
  EXPECT_EQ(last.get_future().get(), runner_.get_id());
}

TEST_F(LentTurnTest, StopInItEndsTheLoop) {
  Lend([&] { reactor_->Stop(); });
  runner_.join();
}

TEST_F(LentTurnTest, DescriptorThatIsWatchedInItIsNoticed) {
  class Reader final : public FdHandler {
   public:
    std::promise<std::thread::id> readable;
    std::function<void()> on_readable;
    void OnReadable() override {
      on_readable();
      readable.set_value(std::this_thread::get_id());
    }
  };
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  Reader reader;
  Lend([&] {
    const WatchId watch = reactor_->AddWatch(read_end.get(), reader);
    reader.on_readable = [this, watch] { reactor_->RemoveWatch(watch); };
    reactor_->SetWatch(watch, /*readable=*/true, /*writable=*/false);
  });
  ASSERT_EQ(::write(write_end.get(), "x", 1), 1);
  EXPECT_EQ(reader.readable.get_future().get(), runner_.get_id());
}

TEST_F(LentTurnTest, TurnsOfManyThreadsComeOneAfterTheOther) {
  constexpr int kThreads = 4;
  constexpr int kEach = 2000;
  int total = 0;  // Only ever touched in a turn.
  std::promise<void> all;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < kEach; ++j) {
        const auto count = [&] {
          if (++total == kThreads * kEach) all.set_value();
        };
        if ((i + j) % 3 == 0) {
          reactor_->CallSoonThreadsafe(count);
        } else {
          reactor_->CallNowThreadsafe(count);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  all.get_future().wait();
}

}  // namespace
}  // namespace transportd
