#include "transports/pipe/open_pipe.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/gated_path.h"

namespace transportd {

absl::StatusOr<OpenPipe> OpenPipeByPath(const std::string& path, PipeDirection direction, int descriptor_limit,
                                        SocketGate* gate) {
  const absl::StatusOr<AllowedPath> allowed = AllowToOpen(path, direction == PipeDirection::kWrite, gate, path);
  if (!allowed.ok()) return allowed.status();
  // Asked first: to open some other device may do something.
  struct stat status = {};
  if (::stat(allowed->path.c_str(), &status) != 0) {
    const int err = errno;
    return ErrnoToStatus(err, "open", path);
  }
  if (!IsPipeFile(status)) return NotAPipe(path, "path");
  const int mode = direction == PipeDirection::kRead ? O_RDONLY : O_WRONLY;
  UniqueFd fd = AdmitSocket(::open(allowed->path.c_str(), mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), descriptor_limit);
  if (!fd.valid()) {
    const int err = errno;
    return ErrnoToStatus(err, "open", path);
  }
  absl::StatusOr<PipeKind> kind = FindPipeKind(fd.get(), path, "path");
  if (!kind.ok()) return kind.status();
  if (absl::Status wrong = CheckPipeDirection(*kind, direction, path, "path"); !wrong.ok()) return wrong;
  return OpenPipe{.fd = std::move(fd), .kind = *kind};
}

}  // namespace transportd
