// The test support's own tests: a check that cannot fail checks nothing.
#include <fcntl.h>

#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/leak_check.h"
#include "tests/support/raw_peer.h"

namespace transportd {
namespace {

TEST(FdLeakListener, ReportsADescriptorThatATestLeft) {
  static FdLeakListener listener;
  static const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  listener.OnTestStart(test);
  UniqueFd leak(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_NONFATAL_FAILURE(listener.OnTestEnd(test), "-> /dev/null");
  leak.Reset();
  listener.OnTestEnd(test);  // Nothing is left: no failure.
}

TEST(FakeClock, MovesOnlyWhenTold) {
  FakeClock clock;
  const TimePoint start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(std::chrono::nanoseconds(1));
  EXPECT_EQ(clock.Now() - start, std::chrono::nanoseconds(1));
}

TEST(RawPeer, SeesDataEofAndReset) {
  RawListener listener;
  RawPeer a = RawPeer::Connect(listener.address());
  RawPeer b = listener.Accept();
  ASSERT_TRUE(a.valid() && b.valid());
  ASSERT_TRUE(a.Send("hello"));
  EXPECT_TRUE(b.RecvAtLeast(5));
  EXPECT_EQ(b.received(), "hello");
  a.ShutdownWrite();
  EXPECT_TRUE(b.RecvToEof());
  b.Reset();
  EXPECT_FALSE(a.RecvToEof());
  EXPECT_EQ(a.error_number(), ECONNRESET);
}

TEST(RawPeer, RefusedAddressRefuses) {
  RawPeer peer = RawPeer::Connect(RefusedAddress());
  EXPECT_FALSE(peer.valid());
  EXPECT_EQ(peer.error_number(), ECONNREFUSED);
}

}  // namespace
}  // namespace transportd
