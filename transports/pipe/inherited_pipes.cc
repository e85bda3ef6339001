#include "transports/pipe/inherited_pipes.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

std::string NameOf(int fd) { return StrCat("descriptor ", fd); }

absl::Status Failed(std::string_view operation, int fd) {
  const int err = errno;
  return ErrnoToStatus(err, operation, NameOf(fd));
}

// The standard streams' numbers must not become those of sockets.
absl::StatusOr<UniqueFd> MoveAway(int fd) {
  UniqueFd moved(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!moved.valid()) return Failed("fcntl", fd);
  if (fd == STDERR_FILENO) return moved;
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid() || ::dup2(null.get(), fd) < 0) return Failed("dup2", fd);
  return moved;
}

}  // namespace

absl::Status InheritedPipes::Add(int fd) {
  const absl::StatusOr<PipeKind> kind = FindPipeKind(fd, NameOf(fd), "fd");
  if (!kind.ok()) return kind.status();
  absl::StatusOr<UniqueFd> owned = fd <= STDERR_FILENO ? MoveAway(fd) : UniqueFd(fd);
  if (!owned.ok()) return owned.status();
  const int flags = ::fcntl(owned->get(), F_GETFL);
  if (::fcntl(owned->get(), F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(owned->get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return Failed("fcntl", fd);
  }
  const MutexLock lock(mutex_);
  pipes_[fd] = OpenPipe{.fd = *std::move(owned), .kind = *kind};
  return absl::OkStatus();
}

absl::StatusOr<OpenPipe> InheritedPipes::Take(int fd, PipeDirection direction) {
  const MutexLock lock(mutex_);
  const auto it = pipes_.find(fd);
  if (it == pipes_.end()) {
    return InvalidArgument("UNKNOWN_FD", "fd", "no pipe that was inherited and may be used by number, or one in use");
  }
  if (absl::Status status = CheckPipeDirection(it->second.kind, direction, NameOf(fd), "fd"); !status.ok()) {
    return status;
  }
  OpenPipe taken = std::move(it->second);
  pipes_.erase(it);
  return taken;
}

}  // namespace transportd
