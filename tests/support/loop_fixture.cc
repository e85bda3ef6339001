#include "tests/support/loop_fixture.h"

#include <utility>

#include "transports/base/clock.h"

namespace transportd {

bool RunUntil(Reactor& reactor, const std::function<bool()>& condition, Duration limit) {
  const TimePoint deadline = SystemClock().Now() + limit;
  while (!condition()) {
    if (SystemClock().Now() > deadline) return false;
    reactor.RunOnce(std::chrono::milliseconds(2));
  }
  return true;
}

void ExpectNothingLeft(Reactor& reactor) {
  for (int turn = 0; turn < 3; ++turn) reactor.RunOnce(Duration::zero());
  const Reactor::Counts counts = reactor.GetCounts();
  EXPECT_EQ(counts.watches, 0u) << "leaked watches";
  EXPECT_EQ(counts.timers, 0u) << "leaked timers";
  EXPECT_EQ(counts.callbacks, 0u) << "leaked callbacks";
}

void LoopFixture::SetUp() {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor = Reactor::Create();
  ASSERT_TRUE(reactor.ok()) << reactor.status();
  reactor_ = *std::move(reactor);
}

void LoopFixture::TearDown() {
  if (reactor_ == nullptr) return;
  ExpectNothingLeft(*reactor_);
  reactor_.reset();
}

void LoopFixture::Turn(int count) {
  for (int i = 0; i < count; ++i) reactor_->RunOnce(Duration::zero());
}

}  // namespace transportd
