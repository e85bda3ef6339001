// Which new sockets a loop keeps.
#ifndef TRANSPORTD_TRANSPORTS_BASE_ADMIT_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_BASE_ADMIT_SOCKET_H_

#include <cerrno>

#include "transports/base/unique_fd.h"

namespace transportd {

// Takes over what socket(2) or accept4(2) has just returned. A number of `descriptor_limit` or more is closed, and is
// the failure EMFILE in errno; a failure stays what it was. The kernel hands out the lowest free number (POSIX.1-2017,
// XSH 2.14 "File Descriptor Allocation"; open(2)), so those from the limit up to RLIMIT_NOFILE stay free for others.
inline UniqueFd AdmitSocket(int fd, int descriptor_limit) {
  UniqueFd socket(fd);
  if (fd < descriptor_limit) return socket;
  socket.Reset();
  errno = EMFILE;
  return socket;
}

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_ADMIT_SOCKET_H_
