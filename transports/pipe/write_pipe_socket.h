// The write end of a pipe as a stream.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_WRITE_PIPE_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_PIPE_WRITE_PIPE_SOCKET_H_

#include <string>

#include "transports/base/unique_fd.h"
#include "transports/pipe/pipe_kind.h"
#include "transports/stream/stream_socket.h"

namespace transportd {

// asyncio's _UnixWritePipeTransport: the reader's end is noticed without writing, on FIFOs and sockets; on terminals
// and other devices a write tells. What a socket's peer sends is thrown away. Threading: loop thread only.
class WritePipeSocket final : public StreamSocket {
 public:
  // `fd`: non-blocking. `name` is named in errors. Calls IgnoreSigpipe.
  WritePipeSocket(UniqueFd fd, std::string name, const PipeKind& kind);

  StreamTraits Traits() const override;
  int fd() const override;
  IoResult DoRead(std::span<char> buffer) override;
  IoResult DoWrite(std::span<const iovec> pieces) override;
  bool CanWriteEof() const override { return true; }
  IoResult ShutdownWrite() override;
  void ResetOnClose() override {}

 private:
  IoResult WriteAll(std::span<const iovec> pieces);

  const UniqueFd fd_;
  const std::string name_;
  const PipeKind kind_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_WRITE_PIPE_SOCKET_H_
