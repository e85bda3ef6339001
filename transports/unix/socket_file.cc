#include "transports/unix/socket_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/gated_path.h"
#include "transports/base/logging.h"
#include "transports/base/sockaddr.h"
#include "transports/base/stale_socket.h"

namespace transportd {
namespace {

// Gives the socket file at `place` the permissions that the umask took. Through a descriptor of the file itself, so
// that nothing which took its place meanwhile is touched but another socket.
absl::Status PutModeBack(const SocketPlace& place, uint32_t mode, std::string_view shown_path) {
  const auto failed = [&](int err) { return ErrnoToStatus(err, "chmod", shown_path); };
  const UniqueFd file(::openat(place.at(), place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return failed(errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return failed(errno);
  if (!S_ISSOCK(status.st_mode) || (status.st_mode & 0777) == mode) return absl::OkStatus();
  // fchmod(2) takes no O_PATH descriptor; proc(5) has a name for it.
  if (::chmod(PinnedName(file.get()).c_str(), mode) != 0) return failed(errno);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BoundSocket> BindUnixSocket(const SocketAddress& address, std::optional<uint32_t> mode,
                                           int descriptor_limit, SocketGate* gate) {
  if (gate != nullptr) {
    if (const auto allowed = gate->MayBind(address); !allowed.ok()) return allowed.status();
  }
  const absl::StatusOr<SocketPlace> place =
      FindSocketPlace(address, ForbidsSymlinks(gate) ? Symlinks::kForbid : Symlinks::kFollow);
  if (!place.ok()) return place.status();
  UniqueFd fd = AdmitSocket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), descriptor_limit);
  int err = errno;
  if (!fd.valid()) return ErrnoToStatus(err, "socket", address.ToString());
  if (gate == nullptr) {
    RemoveStaleSocket(*place);
  } else if (absl::Status status = RemoveUnusedSocket(*place, address.ToString()); !status.ok()) {
    return status;
  }
  if (mode && ::fchmod(fd.get(), *mode) != 0) {
    err = errno;
    return ErrnoToStatus(err, "fchmod", address.ToString());
  }
  if (::bind(fd.get(), place->raw.get(), place->raw.length) != 0) {
    err = errno;
    return ErrnoToStatus(err, "bind", address.ToString());
  }
  if (mode) {
    if (absl::Status status = PutModeBack(*place, *mode, absl::CHexEscape(address.path)); !status.ok()) {
      ::unlinkat(place->at(), place->name.c_str(), /*flags=*/0);
      return status;
    }
  }
  return BoundSocket{.fd = std::move(fd), .address = address};
}

absl::AnyInvocable<void()> SocketFileRemover(const std::string& path, Symlinks symlinks) {
  if (path.empty() || path.front() == '\0') return nullptr;
  const auto look = [symlinks](const std::string& where, struct stat& status) -> absl::StatusOr<SocketPlace> {
    absl::StatusOr<SocketPlace> place = FindSocketPlace({.family = AddressFamily::kUnix, .path = where}, symlinks);
    if (!place.ok() || ::fstatat(place->at(), place->name.c_str(), &status, place->stat_flags()) == 0) return place;
    const int err = errno;
    return ErrnoToStatus(err, "stat", where);
  };
  struct stat bound {};
  if (!look(path, bound).ok()) return nullptr;
  // The folder is not held open meanwhile: the file tells whether it is still the same.
  return [path, look, device = bound.st_dev, inode = bound.st_ino] {
    const auto complain = [&path](std::string_view reason) {
      if (reason == "ENOENT") return;
      LogError("Unable to unlink listening UNIX socket ", absl::CHexEscape(path), ": ", reason);
    };
    struct stat present {};
    const absl::StatusOr<SocketPlace> place = look(path, present);
    if (!place.ok()) return complain(ToTransportError(place.status()).reason);
    if (present.st_dev != device || present.st_ino != inode) return;
    if (::unlinkat(place->at(), place->name.c_str(), /*flags=*/0) != 0) complain(ErrnoName(errno));
  };
}

}  // namespace transportd
