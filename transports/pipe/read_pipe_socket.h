// The read end of a pipe as a stream.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_READ_PIPE_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_PIPE_READ_PIPE_SOCKET_H_

#include <string>

#include "transports/base/unique_fd.h"
#include "transports/stream/stream_socket.h"

namespace transportd {

// asyncio's _UnixReadPipeTransport: the end of the last writer is the end of the transport. EIO, which a terminal
// answers whose other side is gone, is an error, as there. Threading: loop thread only.
class ReadPipeSocket final : public StreamSocket {
 public:
  // `fd`: non-blocking, one that epoll(7) takes. `name` is named in errors.
  ReadPipeSocket(UniqueFd fd, std::string name);

  StreamTraits Traits() const override;
  int fd() const override;
  IoResult DoRead(std::span<char> buffer) override;
  IoResult DoWrite(std::span<const iovec> pieces) override;
  bool CanWriteEof() const override { return false; }
  IoResult ShutdownWrite() override;
  void ResetOnClose() override {}

 private:
  const UniqueFd fd_;
  const std::string name_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_READ_PIPE_SOCKET_H_
