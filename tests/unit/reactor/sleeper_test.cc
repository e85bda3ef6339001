// A reactor whose thread sleeps in something else than epoll: Reactor::SetSleeper.
#include "transports/reactor/sleeper.h"

#include <poll.h>

#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "tests/support/loop_fixture.h"

namespace transportd {
namespace {

// Sleeps for as long as a test says, and watches the reactor's descriptor only.
class FakeSleeper final : public Sleeper {
 public:
  explicit FakeSleeper(Reactor& reactor) : reactor_(reactor) {}

  bool Sleep(std::optional<Duration> timeout) override {
    timeout_ = timeout;
    ++sleep_count_;
    pollfd ready = {.fd = reactor_.pollable_fd(), .events = POLLIN, .revents = 0};
    const bool may_block = blocks_ && !timeout.has_value();
    return looks_ && ::poll(&ready, 1, may_block ? -1 : 0) > 0;
  }
  void Dispatch() override {
    if (on_dispatch_) on_dispatch_();
  }

  Reactor& reactor_;
  bool looks_ = true;
  bool blocks_ = false;
  std::optional<Duration> timeout_;
  int sleep_count_ = 0;
  std::function<void()> on_dispatch_;
};

class SleeperTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    sleeper_.emplace(reactor());
    reactor().SetSleeper(&*sleeper_);
  }
  void TearDown() override {
    reactor().SetSleeper(nullptr);
    LoopFixture::TearDown();
  }

  std::optional<FakeSleeper> sleeper_;
};

TEST_F(SleeperTest, IsToldHowLongTheReactorMaySleep) {
  reactor().RunOnce(Duration(-1));
  EXPECT_EQ(sleeper_->timeout_, std::nullopt);
  const TimerId timer = reactor().CallLater(std::chrono::hours(1), [] {});
  reactor().RunOnce(Duration(-1));
  ASSERT_TRUE(sleeper_->timeout_.has_value());
  EXPECT_GT(*sleeper_->timeout_, std::chrono::minutes(59));
  reactor().CancelTimer(timer);
  reactor().CallSoon([] {});
  reactor().RunOnce(Duration(-1));
  EXPECT_EQ(sleeper_->timeout_, Duration::zero());
}

TEST_F(SleeperTest, WhatItFoundIsToldInTheTurnBeforeItsCallbacks) {
  std::string order;
  sleeper_->on_dispatch_ = [&] {
    order += "d";
    reactor().AtTurnEnd([&] { order += "e"; });
  };
  reactor().CallSoon([&] { order += "c"; });
  Turn();
  EXPECT_EQ(order, "dce");
}

TEST_F(SleeperTest, CallbackOfAnotherThreadMakesTheDescriptorReadable) {
  sleeper_->blocks_ = true;
  std::thread poster([this] { reactor().CallSoonThreadsafe([this] { reactor().Stop(); }); });
  reactor().RunForever();
  poster.join();
}

TEST_F(SleeperTest, WithoutOneTheReactorSleepsInEpollAgain) {
  reactor().SetSleeper(nullptr);
  Turn();
  EXPECT_EQ(sleeper_->sleep_count_, 0);
}

}  // namespace
}  // namespace transportd
