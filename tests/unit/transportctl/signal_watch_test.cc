#include "clients/cpp/transportctl/signal_watch.h"

#include <signal.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"

namespace transportd::ctl {
namespace {

using SignalWatchTest = LoopFixture;

TEST_F(SignalWatchTest, SignalsComeInTurnsOfTheirOwn) {
  std::vector<int> got;
  constexpr int kSignals[] = {SIGUSR1, SIGWINCH};
  const auto watch = SignalWatch::Create(reactor(), kSignals, [&](int number) { got.push_back(number); });
  ASSERT_THAT(watch, IsOk());
  ASSERT_EQ(::raise(SIGUSR1), 0);
  ASSERT_EQ(::raise(SIGWINCH), 0);
  ASSERT_EQ(::raise(SIGUSR1), 0);
  EXPECT_TRUE(got.empty());
  ASSERT_TRUE(RunUntil([&] { return got.size() == 3; }));
  EXPECT_THAT(got, testing::ElementsAre(SIGUSR1, SIGWINCH, SIGUSR1));
}

TEST_F(SignalWatchTest, WhatIsIgnoredStaysSoAndTheRestIsAsBefore) {
  ASSERT_NE(::signal(SIGUSR1, SIG_IGN), SIG_ERR);
  ASSERT_NE(::signal(SIGUSR2, SIG_DFL), SIG_ERR);
  constexpr int kSignals[] = {SIGUSR1, SIGUSR2};
  for (int round = 0; round < 2; ++round) {
    std::vector<int> got;
    const auto watch = SignalWatch::Create(reactor(), kSignals, [&](int number) { got.push_back(number); });
    ASSERT_THAT(watch, IsOk());
    ASSERT_EQ(::raise(SIGUSR1), 0);
    ASSERT_EQ(::raise(SIGUSR2), 0);
    ASSERT_TRUE(RunUntil([&] { return !got.empty(); }));
    EXPECT_THAT(got, testing::ElementsAre(SIGUSR2));
  }
  EXPECT_EQ(::signal(SIGUSR1, SIG_DFL), SIG_IGN);
  EXPECT_EQ(::signal(SIGUSR2, SIG_DFL), SIG_DFL);
}

}  // namespace
}  // namespace transportd::ctl
