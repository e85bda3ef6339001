#include "transports/base/stale_socket.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/escaping.h"
#include "transports/api/error.h"
#include "transports/base/logging.h"

namespace transportd {

void RemoveStaleSocket(const std::string& path) {
  RemoveStaleSocket(SocketPlace{.folder = {}, .name = path, .raw = {}});
}

void RemoveStaleSocket(const SocketPlace& place) {
  // A byte 0 further on is refused by bind; here it would name another file.
  if (place.name.empty() || place.name.find('\0') != std::string::npos) return;
  struct stat status {};
  if (::fstatat(place.at(), place.name.c_str(), &status, place.stat_flags()) == 0) {
    if (!S_ISSOCK(status.st_mode) || ::unlinkat(place.at(), place.name.c_str(), /*flags=*/0) == 0) return;
  }
  const int err = errno;
  if (err == ENOENT) return;
  LogError("Unable to check or remove stale UNIX socket ", absl::CHexEscape(place.name), ": ", ErrnoName(err));
}

}  // namespace transportd
