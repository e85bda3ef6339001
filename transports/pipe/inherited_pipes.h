// The pipes and terminals that the program was started with and may hand out.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_INHERITED_PIPES_H_
#define TRANSPORTD_TRANSPORTS_PIPE_INHERITED_PIPES_H_

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/base/mutex.h"
#include "transports/pipe/pipe_kind.h"

namespace transportd {

// An allow-list. Each is given out once, and closed by whoever has it: a reader sees the end only when nobody has the
// other side. Threading: any thread.
class InheritedPipes final {
 public:
  InheritedPipes() = default;
  InheritedPipes(const InheritedPipes&) = delete;
  InheritedPipes& operator=(const InheritedPipes&) = delete;

  // Takes over `fd`, and makes it close-on-exec, so that no child has it, and non-blocking. In place of standard input
  // and output /dev/null is then open; standard error stays what it is. INVALID_ARGUMENT / NOT_A_PIPE; EBADF when it is
  // not open; the kernel's error. At the program's start, before anything else is opened; each number once.
  absl::Status Add(int fd);

  // INVALID_ARGUMENT / UNKNOWN_FD when it is not on the list, or was taken before; NOT_A_PIPE when it is not open for
  // `direction`: it then stays on the list.
  absl::StatusOr<OpenPipe> Take(int fd, PipeDirection direction);

 private:
  Mutex mutex_;
  absl::flat_hash_map<int, OpenPipe> pipes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_INHERITED_PIPES_H_
