#include "transports/pipe/pipe_io.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "transports/api/error.h"
#include "transports/api/protocol.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

IoResult Failed(int error_number, std::string_view operation, std::string_view name) {
  return IoResult::Failed(EndCauseFromErrno(error_number), ErrnoToStatus(error_number, operation, name));
}

}  // namespace

IoResult ReadPipe(int fd, std::span<char> buffer, std::string_view name) {
  while (true) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    const int err = errno;
    if (size > 0) return IoResult::Bytes(static_cast<size_t>(size));
    if (size == 0) return IoResult::Eof();
    if (err == EINTR) continue;
    if (err == EAGAIN) return IoResult::WouldBlock();
    return Failed(err, "read", name);
  }
}

IoResult WritePipe(int fd, std::span<const iovec> pieces, std::string_view name) {
  while (true) {
    const ssize_t size = ::writev(fd, pieces.data(), static_cast<int>(pieces.size()));
    const int err = errno;
    if (size > 0) return IoResult::Bytes(static_cast<size_t>(size));
    if (size == 0) return IoResult::WouldBlock();
    if (err == EINTR) continue;
    if (err == EAGAIN) return IoResult::WouldBlock();
    return Failed(err, "write", name);
  }
}

void IgnoreSigpipe() {
  struct sigaction action = {};
  CHECK(::sigaction(SIGPIPE, nullptr, &action) == 0);
  if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) return;
  action = {};
  action.sa_handler = SIG_IGN;
  CHECK(::sigaction(SIGPIPE, &action, nullptr) == 0);
}

}  // namespace transportd
