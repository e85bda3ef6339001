// Errors of one shape everywhere: an absl::Status whose payload is a TransportError.
#ifndef TRANSPORTD_TRANSPORTS_API_ERROR_H_
#define TRANSPORTD_TRANSPORTS_API_ERROR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace transportd {

// Why something failed; the fields are those of TransportError in proto/transportd/v1/types.proto.
struct TransportError {
  absl::StatusCode code = absl::StatusCode::kUnknown;  // Never kOk.
  std::string reason = {};                             // Stable, UPPER_SNAKE: "ECONNREFUSED", "INVALID_PORT".
  std::string message = {};                            // For people; may change.
  int errno_number = 0;                                // 0: the kernel had no part in it.
  std::string address = {};                            // What it was about; may be empty.
  std::string operation = {};                          // "connect", "bind", …; may be empty.
  std::string field = {};                              // The bad field of a request; may be empty.
  int gai_code = 0;                                    // getaddrinfo(3)'s EAI_* code; 0: not the resolver.
  uint64_t sent_bytes = 0;                             // Of a file, by a sendfile that failed.
  int tls_verify_code = 0;                             // OpenSSL's X509_V_ERR_* code; 0: no certificate was refused.
  std::vector<TransportError> causes = {};             // One for each attempt, when there were several.
};

// A status that carries `error`. CHECK-fails when error.code is kOk.
absl::Status ToStatus(const TransportError& error);

// What `status` carries; when it carries nothing, one made from its code and message, with reason "UNKNOWN".
// CHECK-fails when `status` is OK.
TransportError ToTransportError(const absl::Status& status);

// The status of a failed system call: code from a table, reason = the errno's name, message
// "OPERATION ADDRESS: STRERROR", and what to do when descriptors are used up. `error_number` is an errno, never 0.
absl::Status ErrnoToStatus(int error_number, std::string_view operation, std::string_view address = "");

// A bad argument: INVALID_ARGUMENT, its message "FIELD: MESSAGE", or "MESSAGE" when it is of no field; `message` says
// what is allowed.
absl::Status InvalidArgument(std::string_view reason, std::string_view field, std::string_view message);

// Any other failure of our own.
absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message);

// "ECONNREFUSED" for ECONNREFUSED; "E<number>" for one that has no name.
std::string ErrnoName(int error_number);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_ERROR_H_
