// Transports: what a protocol is handed, to write to, to pause and to close.
// https://docs.python.org/3.13/library/asyncio-protocol.html#transports
#ifndef TRANSPORTD_TRANSPORTS_API_TRANSPORT_H_
#define TRANSPORTD_TRANSPORTS_API_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/protocol.h"
#include "transports/api/socket_option.h"
#include "transports/api/tls_info.h"

namespace transportd {

// Who is at the other end of a Unix stream, as it was when that end connected, or made the pair: unix(7), SO_PEERCRED.
struct PeerCredentials {
  int32_t pid = 0;  // 0: a process that this one's PID namespace does not have.
  uint32_t uid = 0;
  uint32_t gid = 0;

  friend bool operator==(const PeerCredentials&, const PeerCredentials&) = default;
};

// What a pipe transport stands on: asyncio's get_extra_info('pipe').
struct PipeInfo {
  enum class Kind { kFifo, kCharacterDevice, kTerminal, kSocket };

  Kind kind = Kind::kFifo;
  // Which of the transport's methods there are: of the reading ones and of the writing ones. Both: a pseudo-terminal.
  bool can_read = false;
  bool can_write = false;
  std::string path = {};       // As it was asked for; any bytes. Empty: it has none.
  std::optional<int> fd = {};  // The number of an inherited descriptor, or the child's of a subprocess's pipe.

  friend bool operator==(const PipeInfo&, const PipeInfo&) = default;
};

// What get_extra_info answers. Fixed when the connection is made, but for what start_tls adds; still there after it is
// lost.
struct ExtraInfo {
  std::optional<SocketAddress> sockname = {};
  std::optional<SocketAddress> peername = {};
  std::optional<SocketKind> socket = {};         // Unset: not a socket.
  std::optional<PeerCredentials> peercred = {};  // Unix streams only.
  std::optional<PipeInfo> pipe = {};             // Pipes only.
  std::optional<int> pid = {};                   // Subprocesses only.
  // Of the outermost TLS; null: none. Shared by the transport and by the copies of this.
  std::shared_ptr<const TlsInfo> tls = {};
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

// What a transport that speaks TLS has unless it is told otherwise.
inline constexpr WriteBufferMarks kTlsWriteBufferMarks{.high_bytes = 512 * 1024, .low_bytes = 128 * 1024};

// What asyncio's set_write_buffer_limits makes of its arguments: `unset` when there are none. INVALID_LIMITS when
// low > high or high > 1 GiB.
absl::StatusOr<WriteBufferMarks> ResolveWriteBufferLimits(const WriteBufferLimits& limits,
                                                          const WriteBufferMarks& unset = {});

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
  // WriteEof, even for empty data; FAILED_PRECONDITION / SENDFILE_IN_PROGRESS while a file is sent. On a lost transport
  // the bytes are dropped and the status is OK: ConnectionLost tells the error.
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
