// Files that a program is named: certificates, keys, tokens.
#ifndef TRANSPORTD_CLIENTS_CPP_FILE_CONTENTS_H_
#define TRANSPORTD_CLIENTS_CPP_FILE_CONTENTS_H_

#include <string>

#include "absl/status/statusor.h"

namespace transportd {

// The whole of it. The kernel's error, which names it; INVALID_ARGUMENT / FILE_TOO_LARGE above 1 MiB. Blocks as files
// do: a pipe until its writer has closed it. Threading: any thread.
absl::StatusOr<std::string> ReadFileContents(const std::string& path);

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_FILE_CONTENTS_H_
