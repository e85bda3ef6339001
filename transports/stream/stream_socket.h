// What a stream transport moves bytes with: a plain socket now, TLS over one later. Holds no buffer of the
// transport's and no state of it.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_STREAM_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_STREAM_STREAM_SOCKET_H_

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "transports/api/protocol.h"

namespace transportd {

// What one read or write came to.
struct IoResult {
  enum class Kind {
    kBytes,       // `size_bytes` were moved, more than 0.
    kWouldBlock,  // Nothing was; try again when the descriptor is ready.
    kEof,         // Reads only: the peer will send no more.
    kFailed,      // The stream is broken: `status` and `cause`.
  };

  Kind kind = Kind::kWouldBlock;
  EndCause cause = EndCause::kOsError;
  size_t size_bytes = 0;
  absl::Status status;

  static IoResult Bytes(size_t size_bytes) { return {.kind = Kind::kBytes, .size_bytes = size_bytes, .status = {}}; }
  static IoResult WouldBlock() { return {}; }
  static IoResult Eof() { return {.kind = Kind::kEof, .status = {}}; }
  static IoResult Failed(EndCause cause, absl::Status status) {
    return {.kind = Kind::kFailed, .cause = cause, .status = std::move(status)};
  }
};

// Threading: loop thread only.
class StreamSocket {
 public:
  virtual ~StreamSocket() = default;

  // The descriptor to watch; stays the same for the socket's life.
  virtual int fd() const = 0;

  // `buffer` is not empty. Never blocks.
  virtual IoResult DoRead(std::span<char> buffer) = 0;
  // `pieces` hold at least one byte and are at most IOV_MAX. Never blocks; may take less than all. Never kEof.
  virtual IoResult DoWrite(std::span<const iovec> pieces) = 0;

  // False when the stream cannot be half-closed (TLS).
  virtual bool CanWriteEof() const = 0;
  // Half-closes. kFailed, or kBytes of 0 when it is done. The failure that a reset connection answers (ENOTCONN) is
  // reported as what broke the connection, when the kernel still knows.
  virtual IoResult ShutdownWrite() = 0;

  // From now on closing the descriptor resets the connection: the peer sees RST and not FIN.
  virtual void ResetOnClose() = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_STREAM_SOCKET_H_
