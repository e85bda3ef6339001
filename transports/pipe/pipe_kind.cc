#include "transports/pipe/pipe_kind.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

absl::StatusOr<bool> CanBeWatched(int fd, std::string_view name) {
  const UniqueFd epoll_fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_fd.valid()) {
    const int err = errno;
    return ErrnoToStatus(err, "epoll_create1");
  }
  epoll_event event{.events = 0, .data = {}};
  if (::epoll_ctl(epoll_fd.get(), EPOLL_CTL_ADD, fd, &event) == 0) return true;
  const int err = errno;
  if (err == EPERM) return false;
  return ErrnoToStatus(err, "epoll_ctl", name);
}

}  // namespace

bool IsPipeFile(const struct stat& status) {
  return S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || S_ISCHR(status.st_mode);
}

absl::Status NotAPipe(std::string_view name, std::string_view field) {
  return InvalidArgument("NOT_A_PIPE", field,
                         StrCat(name, " is no pipe: a FIFO, a socket or a character device is expected"));
}

absl::Status CheckPipeDirection(const PipeKind& kind, PipeDirection direction, std::string_view name,
                                std::string_view field) {
  if (direction == PipeDirection::kWrite) {
    if (kind.can_write) return absl::OkStatus();
    return InvalidArgument("NOT_A_PIPE", field, StrCat(name, " is not open for writing"));
  }
  if (!kind.can_read) return InvalidArgument("NOT_A_PIPE", field, StrCat(name, " is not open for reading"));
  if (kind.can_be_watched) return absl::OkStatus();
  return InvalidArgument("NOT_A_PIPE", field, StrCat(name, " is a device that cannot be waited for"));
}

absl::StatusOr<PipeKind> FindPipeKind(int fd, std::string_view name, std::string_view field) {
  struct stat status = {};
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fstat(fd, &status) != 0) {
    const int err = errno;
    return ErrnoToStatus(err, "fstat", name);
  }
  if (!IsPipeFile(status)) return NotAPipe(name, field);
  const absl::StatusOr<bool> can_be_watched = CanBeWatched(fd, name);
  if (!can_be_watched.ok()) return can_be_watched.status();

  PipeKind kind;
  if (S_ISSOCK(status.st_mode)) {
    kind.kind = PipeInfo::Kind::kSocket;
  } else if (S_ISCHR(status.st_mode)) {
    kind.kind = ::isatty(fd) == 1 ? PipeInfo::Kind::kTerminal : PipeInfo::Kind::kCharacterDevice;
  }
  kind.can_be_watched = *can_be_watched;
  kind.can_read = (flags & O_ACCMODE) != O_WRONLY;
  kind.can_write = (flags & O_ACCMODE) != O_RDONLY;
  return kind;
}

}  // namespace transportd
