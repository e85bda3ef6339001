#include "transports/base/stale_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/escaping.h"
#include "transports/api/error.h"
#include "transports/base/logging.h"
#include "transports/base/unique_fd.h"

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

absl::StatusOr<bool> IsSocketInUse(const RawAddress& address, std::string_view shown_address) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.valid()) {
    const int err = errno;
    return ErrnoToStatus(err, "socket", shown_address);
  }
  // unix(7): a stream socket is of the wrong type, EPROTOTYPE, without hearing of it; a file that is nobody's refuses.
  return ::connect(probe.get(), address.get(), address.length) == 0 || (errno != ECONNREFUSED && errno != ENOENT);
}

absl::Status RemoveUnusedSocket(const SocketPlace& place, std::string_view shown_address) {
  if (place.name.empty() || place.name.find('\0') != std::string::npos) return absl::OkStatus();
  struct stat status {};
  if (::fstatat(place.at(), place.name.c_str(), &status, place.stat_flags()) == 0 && S_ISSOCK(status.st_mode)) {
    const absl::StatusOr<bool> is_in_use = IsSocketInUse(place.raw, shown_address);
    if (!is_in_use.ok()) return is_in_use.status();
    if (*is_in_use) return ErrnoToStatus(EADDRINUSE, "bind", shown_address);
  }
  RemoveStaleSocket(place);
  return absl::OkStatus();
}

}  // namespace transportd
