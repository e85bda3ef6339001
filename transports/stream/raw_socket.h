// A stream socket as the kernel has it.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_RAW_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_STREAM_RAW_SOCKET_H_

#include <optional>
#include <string>

#include "transports/api/address.h"
#include "transports/base/unique_fd.h"
#include "transports/stream/stream_socket.h"

namespace transportd {

// recv(2) and sendmsg(2) on a connected, non-blocking SOCK_STREAM socket. Threading: loop thread only.
class RawSocket final : public StreamSocket {
 public:
  // `peer` is named in errors.
  RawSocket(UniqueFd fd, std::optional<SocketAddress> peer);

  int fd() const override;
  IoResult DoRead(std::span<char> buffer) override;
  IoResult DoWrite(std::span<const iovec> pieces) override;
  bool CanSendfile() const override { return true; }
  IoResult DoSendfile(int file_fd, off_t& offset, size_t size_bytes) override;
  bool CanWriteEof() const override { return true; }
  IoResult ShutdownWrite() override;
  void ResetOnClose() override;

 private:
  IoResult Failed(int error_number, const char* operation) const;

  const UniqueFd fd_;
  const std::optional<SocketAddress> peer_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_RAW_SOCKET_H_
