// Reads policy files, and says what is wrong with them.
#ifndef TRANSPORTD_SERVER_POLICY_POLICY_FILE_H_
#define TRANSPORTD_SERVER_POLICY_POLICY_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transportd/v1/policy.pb.h"

namespace transportd {

// Text as `--policy` takes it: see ReadConfigText; and valid. INVALID_ARGUMENT, one offence a line, each with what is
// allowed. `file_name` is for the messages. Any thread.
absl::StatusOr<v1::Policy> ReadPolicy(std::string_view text, std::string_view file_name);
// The same of a file: the kernel's error when it cannot be read. Blocks.
absl::StatusOr<v1::Policy> ReadPolicyFile(const std::string& path);

// Everything that policy.proto asks for. INVALID_ARGUMENT with a line for each offence, 50 at most:
// `role[0] "lab" connect[1] "db" to.cidrs[0]: "10.0.0.1/8" has bits behind its prefix; write 10.0.0.0/8`.
absl::Status ValidatePolicy(const v1::Policy& policy);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_POLICY_FILE_H_
