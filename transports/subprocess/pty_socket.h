// A pseudo-terminal as a stream: the side that a terminal emulator has.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_PTY_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_PTY_SOCKET_H_

#include <memory>

#include "transports/base/unique_fd.h"
#include "transports/stream/stream_socket.h"

namespace transportd {

// The side of a pseudo-terminal that a terminal emulator has. To close it hangs the other side up, with a SIGHUP for
// the process whose terminal it is, although that may have let go of it and be on the way to its exit. Threading: as an
// int.
struct PtyMaster {
  UniqueFd fd;  // Non-blocking.
  bool is_let_go = false;
};

// Both directions in one. EIO, which pty(7) answers when nobody has the other side open any more, is the EOF. There is
// no half-close. Threading: loop thread only.
class PtySocket final : public StreamSocket {
 public:
  // shared_ptr: owned by the subprocess, too, until its process has exited. This one closes it, unless
  // the other side has been let go of.
  explicit PtySocket(std::shared_ptr<PtyMaster> master);
  ~PtySocket() override;

  StreamTraits Traits() const override { return {.eof_closes = true, .close_ends_write = true}; }
  int fd() const override { return master_->fd.get(); }
  IoResult DoRead(std::span<char> buffer) override;
  IoResult DoWrite(std::span<const iovec> pieces) override;
  bool CanWriteEof() const override { return false; }
  IoResult ShutdownWrite() override { return IoResult::Bytes(0); }
  void ResetOnClose() override {}

 private:
  const std::shared_ptr<PtyMaster> master_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_PTY_SOCKET_H_
