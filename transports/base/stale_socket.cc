#include "transports/base/stale_socket.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/escaping.h"
#include "transports/api/error.h"
#include "transports/base/logging.h"

namespace transportd {

void RemoveStaleSocket(const std::string& path) {
  // A byte 0 further on is refused by bind; here it would name another file.
  if (path.empty() || path.find('\0') != std::string::npos) return;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode) || ::unlink(path.c_str()) == 0) return;
  }
  const int err = errno;
  if (err == ENOENT) return;
  LogError("Unable to check or remove stale UNIX socket ", absl::CHexEscape(path), ": ", ErrnoName(err));
}

}  // namespace transportd
