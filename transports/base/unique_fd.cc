#include "transports/base/unique_fd.h"

#include <unistd.h>

#include <cerrno>

#include "transports/base/check.h"

namespace transportd {

void UniqueFd::Reset(int fd) {
  CHECK(fd < 0 || fd != fd_);
  int old_fd = std::exchange(fd_, fd < 0 ? -1 : fd);
  if (old_fd < 0) return;
  int saved_errno = errno;
  // On Linux the descriptor is gone whatever close(2) answers, so it is never tried again. EBADF means that somebody
  // else closed it, and perhaps a stranger's descriptor with it.
  int result = ::close(old_fd);
  CHECK(result == 0 || errno != EBADF);
  errno = saved_errno;
}

}  // namespace transportd
