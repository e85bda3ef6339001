#include "transports/base/watermarks.h"

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(Watermarks, PausesStrictlyOverHighAndOnce) {
  Watermarks marks({.high_bytes = 10, .low_bytes = 4});
  EXPECT_FALSE(marks.Grew(10));
  EXPECT_TRUE(marks.Grew(11));
  EXPECT_FALSE(marks.Grew(12));
  EXPECT_TRUE(marks.paused());
}

TEST(Watermarks, ResumesAtLowAndOnce) {
  Watermarks marks({.high_bytes = 10, .low_bytes = 4});
  EXPECT_FALSE(marks.Shrank(0));
  ASSERT_TRUE(marks.Grew(11));
  EXPECT_FALSE(marks.Shrank(5));
  EXPECT_TRUE(marks.Shrank(4));
  EXPECT_FALSE(marks.Shrank(0));
  EXPECT_TRUE(marks.Grew(11));
}

TEST(Watermarks, ZeroMarksPauseWheneverAnythingIsBuffered) {
  Watermarks marks({.high_bytes = 0, .low_bytes = 0});
  EXPECT_FALSE(marks.Grew(0));
  EXPECT_TRUE(marks.Grew(1));
  EXPECT_TRUE(marks.Shrank(0));
}

TEST(Watermarks, SetMarksMayPauseButNeverResumes) {
  Watermarks marks;
  EXPECT_FALSE(marks.Grew(100));
  EXPECT_TRUE(marks.SetMarks({.high_bytes = 99, .low_bytes = 10}, 100));
  EXPECT_FALSE(marks.SetMarks({.high_bytes = 1000, .low_bytes = 500}, 100));
  EXPECT_TRUE(marks.paused());
  EXPECT_TRUE(marks.Shrank(100));
}

}  // namespace
}  // namespace transportd
