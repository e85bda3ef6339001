#include "transports/base/aggregate_errors.h"

#include <algorithm>
#include <utility>

#include "transports/base/check.h"

namespace transportd {
namespace {

template <typename Member>
bool AllHaveTheSame(const std::vector<TransportError>& errors, Member TransportError::*member) {
  return std::all_of(errors.begin(), errors.end(),
                     [&](const TransportError& error) { return error.*member == errors.front().*member; });
}

}  // namespace

absl::Status AggregateErrors(std::vector<TransportError> errors) {
  CHECK(!errors.empty());
  const TransportError& first = errors.front();
  if (errors.size() == 1) return ToStatus(first);

  TransportError all;
  const bool same_code = AllHaveTheSame(errors, &TransportError::code);
  all.code = same_code ? first.code : absl::StatusCode::kUnavailable;
  if (same_code && AllHaveTheSame(errors, &TransportError::reason)) {
    all.reason = first.reason;
    all.errno_number = first.errno_number;
  } else {
    all.reason = "MULTIPLE_ERRORS";
  }
  if (AllHaveTheSame(errors, &TransportError::operation)) all.operation = first.operation;
  if (AllHaveTheSame(errors, &TransportError::address)) all.address = first.address;
  all.message = "multiple errors: ";
  for (const TransportError& error : errors) {
    if (&error != &first) all.message += "; ";
    all.message += error.message;
  }
  all.causes = std::move(errors);
  return ToStatus(all);
}

}  // namespace transportd
