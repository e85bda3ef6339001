// What kind of file a descriptor is: whether it can be a pipe transport.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_PIPE_KIND_H_
#define TRANSPORTD_TRANSPORTS_PIPE_PIPE_KIND_H_

#include <sys/stat.h>

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/transport.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Which way the transport's bytes go.
enum class PipeDirection { kRead, kWrite };

struct PipeKind {
  PipeInfo::Kind kind = PipeInfo::Kind::kFifo;
  bool can_be_watched = true;  // False: epoll(7) does not take it, as /dev/null and /dev/zero, which never block.
  bool can_read = false;       // How it was opened.
  bool can_write = false;
};

// A pipe, non-blocking and close-on-exec, and what it is.
struct OpenPipe {
  UniqueFd fd;
  PipeKind kind;
};

// Whether it is a FIFO, a socket or a character device.
bool IsPipeFile(const struct stat& status);

// INVALID_ARGUMENT / NOT_A_PIPE for any other file, with the name of `field`; the kernel's error. Does not block.
absl::StatusOr<PipeKind> FindPipeKind(int fd, std::string_view name, std::string_view field);

// NOT_A_PIPE when it was not opened for this direction, or cannot be waited for where that is needed.
absl::Status CheckPipeDirection(const PipeKind& kind, PipeDirection direction, std::string_view name,
                                std::string_view field);

// NOT_A_PIPE, for what is no pipe at all.
absl::Status NotAPipe(std::string_view name, std::string_view field);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_PIPE_KIND_H_
