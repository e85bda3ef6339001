// Where flags get their values: the command line, the environment, a file.
#ifndef TRANSPORTD_SERVER_OPS_CONFIGURATION_H_
#define TRANSPORTD_SERVER_OPS_CONFIGURATION_H_

#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/ops/flags.h"

namespace transportd {

// getenv(3): null when there is no such variable.
using Environment = absl::FunctionRef<const char*(const char* name)>;

// `--drain-timeout`: TRANSPORTD_DRAIN_TIMEOUT.
std::string EnvironmentName(std::string_view flag);

// Sets the flags of `table` from the file that --config names (config.proto), then from the environment, then from
// `arguments`: the last one counts. A variable that is empty says nothing; a list's values have blanks between them.
// INVALID_ARGUMENT / BAD_FLAG, whose message names the flag, the variable or the file, and what is allowed; what is
// wrong with the file; the kernel's error when it cannot be read.
absl::Status Configure(FlagTable& table, std::span<const char* const> arguments, Environment environment);

// All flags of config.proto as they are now, as such a file, with the origin of each behind it.
std::string PrintConfiguration(const FlagTable& table);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_CONFIGURATION_H_
