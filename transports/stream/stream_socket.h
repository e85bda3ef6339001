// What a stream transport moves bytes with: a plain socket, a pipe, TLS over another of these. Holds no buffer of the
// transport's and no state of it.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_STREAM_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_STREAM_STREAM_SOCKET_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "transports/api/protocol.h"
#include "transports/api/time.h"
#include "transports/api/transport.h"
#include "transports/base/check.h"

namespace transportd {

// What one read or write came to.
struct IoResult {
  enum class Kind {
    kBytes,       // `size_bytes` were moved, more than 0.
    kWouldBlock,  // Nothing was; try again when the descriptor is ready.
    kEof,         // Reads and DoShutdown: the peer will send no more; `cause` says how it ended. DoSendfile: the file
                  // has no more.
    kFailed,      // The stream is broken: `status` and `cause`.
    kFileFailed,  // DoSendfile only: the file cannot be sent so, or read at all: `status`. The stream is sound.
  };
  // What a call that would block waits for.
  enum class Wait {
    kOwn,  // As is natural: a read for the descriptor to be readable, a write for it to be writable.
    kReadable,
    kWritable,
  };

  Kind kind = Kind::kWouldBlock;
  EndCause cause = EndCause::kOsError;
  Wait wait = Wait::kOwn;
  // Reads and DoShutdown: another call may find something although the descriptor is not readable.
  bool more = false;
  size_t size_bytes = 0;
  absl::Status status;

  static IoResult Bytes(size_t size_bytes) { return {.kind = Kind::kBytes, .size_bytes = size_bytes, .status = {}}; }
  static IoResult WouldBlock(Wait wait = Wait::kOwn) { return {.wait = wait, .status = {}}; }
  static IoResult Eof(EndCause cause = EndCause::kEof) { return {.kind = Kind::kEof, .cause = cause, .status = {}}; }
  static IoResult Failed(EndCause cause, absl::Status status) {
    return {.kind = Kind::kFailed, .cause = cause, .status = std::move(status)};
  }
  static IoResult FileFailed(absl::Status status) { return {.kind = Kind::kFileFailed, .status = std::move(status)}; }
};

// Where asyncio's rules for a kind of stream differ from those for a plain socket.
struct StreamTraits {
  bool can_read = true;           // False: DataReceived and EofReceived are never called.
  bool can_write = true;          // False: Write answers WRONG_KIND.
  bool eof_closes = false;        // What EofReceived answers is ignored: the transport closes (TLS, read pipes).
  bool eof_may_wait = false;      // But not when the protocol DecidesOnEof (TLS).
  bool write_eof_closes = false;  // WriteEof is Close (write pipes).
  bool close_ends_write = false;  // What is written after Close is dropped, even while it flushes (TLS, pipes).
  bool watches_reader = false;  // Of those that cannot read: readable means that the reader may be gone; DoRead tells.
  // What SetWriteBufferLimits with neither limit sets.
  WriteBufferMarks write_buffer_marks = {};
  // The longest time that DoHandshake may take. Unset: there is no handshake.
  std::optional<Duration> handshake_timeout = {};
  // The longest time that DoShutdown may take.
  Duration shutdown_timeout = {};
};

// Threading: loop thread only.
class StreamSocket {
 public:
  virtual ~StreamSocket() = default;

  // Stays the same for the socket's life.
  virtual StreamTraits Traits() const { return {}; }

  // The descriptor to watch; stays the same for the socket's life.
  virtual int fd() const = 0;

  // Of those with a handshake: called before any read or write, until it is kBytes of 0, which ends it. kWouldBlock
  // says which way it waits. Never kEof.
  virtual IoResult DoHandshake() { return IoResult::Bytes(0); }
  // After the handshake: adds what it told.
  virtual void AddExtraInfo(ExtraInfo& extra_info) const { static_cast<void>(extra_info); }

  // `buffer` is not empty. Never blocks. With `watches_reader`: kEof when nobody reads any more, else kWouldBlock.
  virtual IoResult DoRead(std::span<char> buffer) = 0;
  // `pieces` hold at least one byte and are at most IOV_MAX. Never blocks; may take less than all. Never kEof.
  virtual IoResult DoWrite(std::span<const iovec> pieces) = 0;

  // Whether the kernel can send a file by itself: DoSendfile. It cannot where bytes are changed on their way (TLS).
  virtual bool CanSendfile() const { return false; }
  // sendfile(2) of at most `size_bytes` (more than 0) from `offset` on, which moves on. Waits for no peer, but for the
  // disk when the file is not in memory. CHECK-fails unless CanSendfile.
  virtual IoResult DoSendfile(int /*file_fd*/, off_t& /*offset*/, size_t /*size_bytes*/) {
    CHECK(false);
    return {};
  }

  // False when the stream cannot be half-closed (TLS).
  virtual bool CanWriteEof() const = 0;
  // Half-closes. kFailed, or kBytes of 0 when it is done. The failure that a reset connection answers (ENOTCONN) is
  // reported as what broke the connection, when the kernel still knows.
  virtual IoResult ShutdownWrite() = 0;

  // Takes leave of the peer: called when nothing is left to write, until it is kBytes of 0 or kEof, which end it; after
  // the first call nothing is read or written. kEof: the peer took leave too, and had not done so at the first call,
  // which is never kEof. kWouldBlock says which way it waits.
  virtual IoResult DoShutdown() { return IoResult::Bytes(0); }

  // From now on closing the descriptor resets the connection: the peer sees RST and not FIN.
  virtual void ResetOnClose() = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_STREAM_SOCKET_H_
