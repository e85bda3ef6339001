// One error for several attempts.
#ifndef TRANSPORTD_TRANSPORTS_BASE_AGGREGATE_ERRORS_H_
#define TRANSPORTD_TRANSPORTS_BASE_AGGREGATE_ERRORS_H_

#include <vector>

#include "absl/status/status.h"
#include "transports/api/error.h"

namespace transportd {

// `errors`, one for each attempt in the order tried, not empty. A single one is returned as it is. Several: one error
// that holds each as a cause, with the code, reason and errno that all have in common; else reason MULTIPLE_ERRORS, and
// UNAVAILABLE when the codes differ too.
absl::Status AggregateErrors(std::vector<TransportError> errors);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_AGGREGATE_ERRORS_H_
