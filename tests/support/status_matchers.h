// Matchers for absl::Status and absl::StatusOr.
#ifndef TRANSPORTD_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define TRANSPORTD_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "transports/api/error.h"

namespace transportd {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// For a failure's message: code, reason, text.
inline std::string DescribeStatus(const absl::Status& status) {
  return status.ok() ? "OK" : status.ToString() + " (reason " + ToTransportError(status).reason + ")";
}

MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  *result_listener << "which is " << DescribeStatus(StatusOf(arg));
  return StatusOf(arg).ok();
}

MATCHER_P(StatusIs, code, "has status code " + absl::StatusCodeToString(code)) {
  *result_listener << "which is " << DescribeStatus(StatusOf(arg));
  return StatusOf(arg).code() == code;
}

// The reason of the TransportError inside: "ECONNREFUSED", "INVALID_PORT".
MATCHER_P(HasReason, reason, std::string("has the reason ") + reason) {
  *result_listener << "which is " << DescribeStatus(StatusOf(arg));
  return !StatusOf(arg).ok() && ToTransportError(StatusOf(arg)).reason == reason;
}

// The bad field that the TransportError inside names.
MATCHER_P(HasField, field, std::string("names the field ") + field) {
  *result_listener << "which is " << DescribeStatus(StatusOf(arg));
  return !StatusOf(arg).ok() && ToTransportError(StatusOf(arg)).field == field;
}

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_STATUS_MATCHERS_H_
