#include "transports/unix/socket_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/escaping.h"
#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/logging.h"
#include "transports/base/sockaddr.h"
#include "transports/base/stale_socket.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// Gives the socket file at `path` the permissions that the umask took. Through a descriptor of the file itself, so that
// nothing which took its place meanwhile is touched but another socket.
absl::Status PutModeBack(const std::string& path, uint32_t mode) {
  const auto failed = [&](int err) { return ErrnoToStatus(err, "chmod", absl::CHexEscape(path)); };
  const UniqueFd file(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return failed(errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return failed(errno);
  if (!S_ISSOCK(status.st_mode) || (status.st_mode & 0777) == mode) return absl::OkStatus();
  // fchmod(2) takes no O_PATH descriptor; proc(5) has a name for it.
  if (::chmod(StrCat("/proc/self/fd/", file.get()).c_str(), mode) != 0) return failed(errno);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BoundSocket> BindUnixSocket(const SocketAddress& address, std::optional<uint32_t> mode,
                                           int descriptor_limit) {
  const absl::StatusOr<RawAddress> raw = ToRawAddress(address);
  if (!raw.ok()) return raw.status();
  UniqueFd fd = AdmitSocket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), descriptor_limit);
  int err = errno;
  if (!fd.valid()) return ErrnoToStatus(err, "socket", address.ToString());
  RemoveStaleSocket(address.path);
  if (mode && ::fchmod(fd.get(), *mode) != 0) {
    err = errno;
    return ErrnoToStatus(err, "fchmod", address.ToString());
  }
  if (::bind(fd.get(), raw->get(), raw->length) != 0) {
    err = errno;
    return ErrnoToStatus(err, "bind", address.ToString());
  }
  if (mode) {
    if (absl::Status status = PutModeBack(address.path, *mode); !status.ok()) {
      ::unlink(address.path.c_str());
      return status;
    }
  }
  return BoundSocket{.fd = std::move(fd), .address = address};
}

absl::AnyInvocable<void()> SocketFileRemover(const std::string& path) {
  struct stat bound {};
  if (path.empty() || path.front() == '\0' || ::stat(path.c_str(), &bound) != 0) return nullptr;
  return [path, device = bound.st_dev, inode = bound.st_ino] {
    struct stat present {};
    if (::stat(path.c_str(), &present) == 0) {
      if (present.st_dev != device || present.st_ino != inode || ::unlink(path.c_str()) == 0) return;
    }
    const int err = errno;
    if (err == ENOENT) return;
    LogError("Unable to unlink listening UNIX socket ", absl::CHexEscape(path), ": ", ErrnoName(err));
  };
}

}  // namespace transportd
