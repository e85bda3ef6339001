#include "transports/base/check.h"

#include "gtest/gtest.h"

namespace {

TEST(Check, TrueConditionIsEvaluatedOnce) {
  int count = 0;
  CHECK(++count == 1);
  EXPECT_EQ(count, 1);
}

TEST(CheckDeathTest, FalseConditionAbortsWithFileLineAndText) {
  EXPECT_DEATH(CHECK(1 + 1 == 3), "check_test.cc:[0-9]+: CHECK failed: 1 \\+ 1 == 3");
  EXPECT_DEATH(CHECK_LT(2, 1), "CHECK failed");
}

}  // namespace
