#include "transports/base/metric.h"

#include <chrono>

#include "gtest/gtest.h"

namespace transportd {
namespace {

using std::chrono::seconds;

TEST(RecentMaximum, IsOfThisPeriodAndTheOneBefore) {
  RecentMaximum maximum(seconds(10));
  const TimePoint begin{seconds(1000)};
  EXPECT_EQ(maximum.Read(begin), 0u);
  maximum.Record(begin, 7);
  maximum.Record(begin + seconds(1), 3);
  EXPECT_EQ(maximum.Read(begin + seconds(9)), 7u);
  EXPECT_EQ(maximum.Read(begin + seconds(19)), 7u);
  EXPECT_EQ(maximum.Read(begin + seconds(20)), 0u);
  maximum.Record(begin + seconds(12), 5);
  EXPECT_EQ(maximum.Read(begin + seconds(12)), 7u);
  maximum.Record(begin + seconds(21), 2);
  EXPECT_EQ(maximum.Read(begin + seconds(21)), 5u);
  maximum.Record(begin + seconds(100), 1);
  EXPECT_EQ(maximum.Read(begin + seconds(100)), 1u);
}

}  // namespace
}  // namespace transportd
