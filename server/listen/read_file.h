// Small files that an operator writes: certificates, policies.
#ifndef TRANSPORTD_SERVER_LISTEN_READ_FILE_H_
#define TRANSPORTD_SERVER_LISTEN_READ_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace transportd {

// All of it. The kernel's error; INVALID_ARGUMENT / BAD_CONFIGURATION above 1 MiB. Never waits: a pipe without a writer
// reads as empty. Any thread.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_LISTEN_READ_FILE_H_
