// What is wrong with ConnectOptions.
#ifndef TRANSPORTD_CLIENTS_CPP_OPTION_ERROR_H_
#define TRANSPORTD_CLIENTS_CPP_OPTION_ERROR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "transports/api/error.h"

namespace transportd {

// INVALID_ARGUMENT. Other than InvalidArgument's, the message does not begin with the field: whoever reads it gave an
// option of another name, or a variable.
inline absl::Status OptionError(std::string_view reason, std::string_view field, std::string_view message) {
  TransportError error;
  error.code = absl::StatusCode::kInvalidArgument;
  error.reason = std::string(reason);
  error.field = std::string(field);
  error.message = std::string(message);
  return ToStatus(error);
}

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_OPTION_ERROR_H_
