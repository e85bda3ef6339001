// Files that an operator writes.
#ifndef TRANSPORTD_SERVER_POLICY_CONFIG_FILE_H_
#define TRANSPORTD_SERVER_POLICY_CONFIG_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace transportd {

inline constexpr size_t kMaxPemFileBytes = 1024 * 1024;  // Certificates and keys, as TlsOptions has it.

// All of a regular file. Errors name the path: INVALID_ARGUMENT: it is longer, or no regular file; else what the
// kernel says. Blocks as disks do. Threading: any thread.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path, size_t max_bytes);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONFIG_FILE_H_
