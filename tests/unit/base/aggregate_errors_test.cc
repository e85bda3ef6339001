#include "transports/base/aggregate_errors.h"

#include <cerrno>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

TransportError Error(int error_number, const char* operation, const char* address) {
  return ToTransportError(ErrnoToStatus(error_number, operation, address));
}

TEST(AggregateErrors, OneIsItself) {
  const TransportError error = ToTransportError(AggregateErrors({Error(ECONNREFUSED, "connect", "127.0.0.1:1")}));
  EXPECT_EQ(error.reason, "ECONNREFUSED");
  EXPECT_EQ(error.address, "127.0.0.1:1");
  EXPECT_TRUE(error.causes.empty());
}

TEST(AggregateErrors, EqualReasonsKeepCodeReasonAndErrno) {
  const absl::Status status =
      AggregateErrors({Error(ECONNREFUSED, "connect", "127.0.0.1:1"), Error(ECONNREFUSED, "connect", "[::1]:1")});
  const TransportError error = ToTransportError(status);
  EXPECT_EQ(status.code(), ErrnoToStatus(ECONNREFUSED, "connect").code());
  EXPECT_EQ(error.reason, "ECONNREFUSED");
  EXPECT_EQ(error.errno_number, ECONNREFUSED);
  EXPECT_EQ(error.operation, "connect");
  EXPECT_EQ(error.address, "");
  ASSERT_EQ(error.causes.size(), 2u);
  EXPECT_EQ(error.causes[0].address, "127.0.0.1:1");
  EXPECT_EQ(error.causes[1].address, "[::1]:1");
}

TEST(AggregateErrors, DifferentReasonsAreMultipleErrors) {
  const TransportError error = ToTransportError(
      AggregateErrors({Error(EADDRINUSE, "bind", "127.0.0.1:1"), Error(ECONNREFUSED, "connect", "127.0.0.1:2")}));
  EXPECT_EQ(error.reason, "MULTIPLE_ERRORS");
  EXPECT_EQ(error.errno_number, 0);
  EXPECT_EQ(error.operation, "");
  ASSERT_EQ(error.causes.size(), 2u);
  EXPECT_EQ(error.causes[0].errno_number, EADDRINUSE);
  EXPECT_EQ(error.causes[1].errno_number, ECONNREFUSED);
}

}  // namespace
}  // namespace transportd
