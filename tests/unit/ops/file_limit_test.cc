#include "server/ops/file_limit.h"

#include <sys/resource.h>

#include <limits>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(DescriptorLimit, LeavesAReserve) {
  EXPECT_EQ(DescriptorLimit(128), 96);
  EXPECT_EQ(DescriptorLimit(1024), 768);
  EXPECT_EQ(DescriptorLimit(1048576), 1048320);
}

TEST(DescriptorLimit, OfALimitUnknownOrWithoutEndIsNone) {
  EXPECT_EQ(DescriptorLimit(0), std::numeric_limits<int>::max());
  EXPECT_EQ(DescriptorLimit(RLIM_INFINITY), std::numeric_limits<int>::max());
}

}  // namespace
}  // namespace transportd
