#include "transports/stream/raw_socket.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/sigpipe_block.h"

namespace transportd {
namespace {

// sendfile(2): what it says of the file that it reads; all else is the socket's.
bool IsOfTheFile(int error_number) {
  return error_number == EIO || error_number == EINVAL || error_number == ENOSYS || error_number == EOVERFLOW ||
         error_number == ESPIPE || error_number == ENOMEM;
}

bool IsWouldBlock(int error_number) { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

}  // namespace

RawSocket::RawSocket(UniqueFd fd, std::optional<SocketAddress> peer) : fd_(std::move(fd)), peer_(std::move(peer)) {}

int RawSocket::fd() const { return fd_.get(); }

IoResult RawSocket::DoRead(std::span<char> buffer) {
  while (true) {
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    const int err = errno;
    if (size > 0) return IoResult::Bytes(static_cast<size_t>(size));
    if (size == 0) return IoResult::Eof();
    if (err == EINTR) continue;
    if (IsWouldBlock(err)) return IoResult::WouldBlock();
    return Failed(err, "recv");
  }
}

IoResult RawSocket::DoWrite(std::span<const iovec> pieces) {
  // One piece is the rule, and send(2) the shorter way for it.
  const bool is_one = pieces.size() == 1;
  msghdr message{};
  // sendmsg(2) does not write through it; POSIX only forgot the const.
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  while (true) {
    const ssize_t size = is_one ? ::send(fd_.get(), pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                                : ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    const int err = errno;
    if (size > 0) return IoResult::Bytes(static_cast<size_t>(size));
    if (size == 0) return IoResult::WouldBlock();
    if (err == EINTR) continue;
    if (IsWouldBlock(err)) return IoResult::WouldBlock();
    return Failed(err, "send");
  }
}

IoResult RawSocket::DoSendfile(int file_fd, off_t& offset, size_t size_bytes) {
  // sendfile(2) has no MSG_NOSIGNAL.
  const SigpipeBlock no_sigpipe;
  while (true) {
    const ssize_t size = ::sendfile(fd_.get(), file_fd, &offset, size_bytes);
    const int err = errno;
    if (size > 0) return IoResult::Bytes(static_cast<size_t>(size));
    if (size == 0) return IoResult::Eof();
    if (err == EINTR) continue;
    if (IsWouldBlock(err)) return IoResult::WouldBlock();
    if (IsOfTheFile(err)) return IoResult::FileFailed(ErrnoToStatus(err, "sendfile"));
    return Failed(err, "sendfile");
  }
}

IoResult RawSocket::ShutdownWrite() {
  if (::shutdown(fd_.get(), SHUT_WR) == 0) return IoResult::Bytes(0);
  int err = errno;
  if (err == ENOTCONN) {
    int pending = 0;
    socklen_t size = sizeof(pending);
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &pending, &size) == 0 && pending != 0) err = pending;
  }
  return Failed(err, "shutdown");
}

void RawSocket::ResetOnClose() {
  // socket(7): with a linger time of 0, close(2) drops what is unsent and sends RST. A socket that has no such option
  // has no RST either.
  const linger value{.l_onoff = 1, .l_linger = 0};
  static_cast<void>(::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &value, sizeof(value)));
}

IoResult RawSocket::Failed(int error_number, const char* operation) const {
  return IoResult::Failed(EndCauseFromErrno(error_number),
                          ErrnoToStatus(error_number, operation, peer_ ? peer_->ToString() : std::string()));
}

}  // namespace transportd
