// Transports: what a protocol is handed, to write to, to pause and to close.
// https://docs.python.org/3.13/library/asyncio-protocol.html#transports
#ifndef TRANSPORTD_TRANSPORTS_API_TRANSPORT_H_
#define TRANSPORTD_TRANSPORTS_API_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/protocol.h"
#include "transports/api/socket_option.h"

namespace transportd {

// What get_extra_info answers. Fixed when the connection is made; still there after it is lost.
struct ExtraInfo {
  std::optional<SocketAddress> sockname = {};
  std::optional<SocketAddress> peername = {};
};

// Watermarks as set: see WriteBufferLimits in proto/transportd/v1/types.proto for what unset means.
struct WriteBufferLimits {
  std::optional<uint64_t> high_bytes = {};
  std::optional<uint64_t> low_bytes = {};
};

// Watermarks in force.
struct WriteBufferMarks {
  uint64_t high_bytes = 64 * 1024;
  uint64_t low_bytes = 16 * 1024;

  friend bool operator==(const WriteBufferMarks&, const WriteBufferMarks&) = default;
};

// What asyncio's set_write_buffer_limits makes of its arguments. INVALID_LIMITS when low > high or high > 1 GiB.
absl::StatusOr<WriteBufferMarks> ResolveWriteBufferLimits(const WriteBufferLimits& limits);

// A stream transport. Held by its loop until ConnectionLost has been called, and by whoever keeps the shared_ptr.
// Threading: loop thread only.
class Transport {
 public:
  virtual ~Transport() = default;

  // Stops reading, flushes, then ConnectionLost in a later turn of the loop. Idempotent.
  virtual void Close() = 0;

  // Drops what is buffered, then ConnectionLost in a later turn. The peer sees FIN, or RST when `reset` is true.
  // Idempotent; overtakes a Close that is still flushing.
  virtual void Abort(bool reset = false) = 0;

  virtual bool IsClosing() const = 0;
  virtual const ExtraInfo& GetExtraInfo() const = 0;

  // From the next callback on, `protocol` is called. A Protocol or a BufferedProtocol; not null.
  virtual void SetProtocol(std::shared_ptr<BaseProtocol> protocol) = 0;
  // Null after ConnectionLost.
  virtual std::shared_ptr<BaseProtocol> GetProtocol() const = 0;

  // Not paused and not closing.
  virtual bool IsReading() const = 0;
  // From its return on, no DataReceived, no EofReceived, and no ConnectionLost that the read side causes. Idempotent.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  // Takes a copy of `data` or hands it to the kernel; never blocks. FAILED_PRECONDITION / WRITE_AFTER_EOF after
  // WriteEof, even for empty data. On a lost transport the bytes are dropped and the status is OK: ConnectionLost tells
  // the error.
  virtual absl::Status Write(std::string_view data) = 0;
  virtual absl::Status Writelines(std::span<const std::string_view> lines) = 0;

  // Half-closes after flushing; reading goes on. Idempotent; nothing after Close.
  virtual void WriteEof() = 0;
  virtual bool CanWriteEof() const = 0;

  // May call PauseWriting, never ResumeWriting. INVALID_ARGUMENT / INVALID_LIMITS changes nothing.
  virtual absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) = 0;
  virtual WriteBufferMarks GetWriteBufferLimits() const = 0;
  // Accepted and not yet handed to the kernel.
  virtual size_t GetWriteBufferSize() const = 0;

  // Totals so far: read from the socket, handed to the kernel.
  virtual uint64_t ReceivedBytes() const = 0;
  virtual uint64_t SentBytes() const = 0;

  // One option of the allow-list. `done` is called exactly once: on the loop's thread, perhaps before this returns.
  // FAILED_PRECONDITION / TRANSPORT_LOST when the socket is gone.
  virtual void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) = 0;
  virtual void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_TRANSPORT_H_
