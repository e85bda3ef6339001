// A pseudo-terminal as a stream: the side that a terminal emulator has.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_PTY_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_PTY_SOCKET_H_

#include "transports/base/unique_fd.h"
#include "transports/stream/stream_socket.h"

namespace transportd {

// Both directions in one. EIO, which pty(7) answers when nobody has the other side open any more, is the EOF. There is
// no half-close. Threading: loop thread only.
class PtySocket final : public StreamSocket {
 public:
  // `fd`: non-blocking.
  explicit PtySocket(UniqueFd fd);

  StreamTraits Traits() const override { return {.eof_closes = true, .close_ends_write = true}; }
  int fd() const override { return fd_.get(); }
  IoResult DoRead(std::span<char> buffer) override;
  IoResult DoWrite(std::span<const iovec> pieces) override;
  bool CanWriteEof() const override { return false; }
  IoResult ShutdownWrite() override { return IoResult::Bytes(0); }
  void ResetOnClose() override {}

 private:
  const UniqueFd fd_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_PTY_SOCKET_H_
