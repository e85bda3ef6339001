#include "transports/api/transport.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

WriteBufferMarks Resolved(std::optional<uint64_t> high, std::optional<uint64_t> low) {
  absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits({.high_bytes = high, .low_bytes = low});
  EXPECT_THAT(marks, IsOk());
  return marks.value_or(WriteBufferMarks{1, 1});
}

// The expected values are those of CPython 3.13's _set_write_buffer_limits.
TEST(ResolveWriteBufferLimits, NeitherGivenMeans64And16Kibibytes) {
  EXPECT_EQ(Resolved(std::nullopt, std::nullopt), (WriteBufferMarks{65536, 16384}));
}

TEST(ResolveWriteBufferLimits, OnlyHighGivenMeansLowIsAQuarterRoundedDown) {
  EXPECT_EQ(Resolved(1003, std::nullopt), (WriteBufferMarks{1003, 250}));
  EXPECT_EQ(Resolved(0, std::nullopt), (WriteBufferMarks{0, 0}));
}

TEST(ResolveWriteBufferLimits, OnlyLowGivenMeansHighIsFourTimesAsMuch) {
  EXPECT_EQ(Resolved(std::nullopt, 100), (WriteBufferMarks{400, 100}));
  EXPECT_EQ(Resolved(std::nullopt, 0), (WriteBufferMarks{0, 0}));
}

TEST(ResolveWriteBufferLimits, BothGivenAreTakenWhenLowIsAtMostHigh) {
  EXPECT_EQ(Resolved(7, 7), (WriteBufferMarks{7, 7}));
  EXPECT_EQ(Resolved(uint64_t{1} << 30, 0), (WriteBufferMarks{uint64_t{1} << 30, 0}));
}

TEST(ResolveWriteBufferLimits, LowOverHighIsInvalidLimits) {
  auto marks = ResolveWriteBufferLimits({.high_bytes = 1, .low_bytes = 2});
  EXPECT_THAT(marks, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(marks, HasReason("INVALID_LIMITS"));
  EXPECT_THAT(marks, HasField("low_bytes"));
}

TEST(ResolveWriteBufferLimits, HighOverOneGibibyteIsInvalidLimitsHoweverItCameAbout) {
  const uint64_t gibibyte = uint64_t{1} << 30;
  EXPECT_THAT(ResolveWriteBufferLimits({.high_bytes = gibibyte + 1, .low_bytes = std::nullopt}),
              HasReason("INVALID_LIMITS"));
  EXPECT_THAT(ResolveWriteBufferLimits({.high_bytes = std::nullopt, .low_bytes = gibibyte}),
              HasReason("INVALID_LIMITS"));
  // Four times this wraps around to 0.
  EXPECT_THAT(ResolveWriteBufferLimits({.high_bytes = std::nullopt, .low_bytes = uint64_t{1} << 62}),
              HasReason("INVALID_LIMITS"));
}

}  // namespace
}  // namespace transportd
