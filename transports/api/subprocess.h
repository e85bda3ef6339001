// Subprocesses: a transport that has pipes, and the protocol that it calls.
// https://docs.python.org/3.13/library/asyncio-protocol.html#subprocess-transports
//
// Order:
//
//   ConnectionMade  { PipeDataReceived* PipeConnectionLost }(each pipe)  ProcessExited  ConnectionLost
//
// ProcessExited may come before, between and after the pipes' callbacks; ConnectionLost is last, when the process has
// exited and every pipe is lost: a grandchild that holds stdout keeps it away (drain_timeout bounds that).
// PauseWriting and ResumeWriting are stdin's.
#ifndef TRANSPORTD_TRANSPORTS_API_SUBPROCESS_H_
#define TRANSPORTD_TRANSPORTS_API_SUBPROCESS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/confinement.h"
#include "transports/api/protocol.h"
#include "transports/api/subprocess_gate.h"
#include "transports/api/time.h"
#include "transports/api/transport.h"

namespace transportd {

// What a standard stream of the child is connected to.
enum class Stdio {
  kPipe,     // A pipe, whose other end is a transport.
  kNull,     // /dev/null: asyncio's DEVNULL.
  kInherit,  // What this program, or the service, has there: asyncio's None.
  kStdout,   // stderr only: what stdout is connected to.
  kPty,      // A pseudo-terminal, which is the child's controlling terminal. Not asyncio's.
};

// In characters, 1 to 65535.
struct WindowSize {
  uint32_t rows = 24;
  uint32_t columns = 80;
};

// A user or group: its number, or its name in the system's database.
using AccountId = std::variant<uint32_t, std::string>;

// SubprocessOptions in proto/transportd/v1/subprocess.proto says what each means, unset and 0 included.
struct SubprocessOptions {
  Stdio stdin_kind = Stdio::kPipe;
  Stdio stdout_kind = Stdio::kPipe;
  Stdio stderr_kind = Stdio::kPipe;
  // Unset: this program's, or the service's. Any bytes.
  std::optional<std::string> cwd = {};
  std::optional<std::vector<std::pair<std::string, std::string>>> env = {};
  // Run in place of the program, or of the shell.
  std::optional<std::string> executable = {};
  bool start_new_session = false;
  std::optional<int> process_group = {};
  std::optional<AccountId> user = {};
  std::optional<AccountId> group = {};
  std::optional<std::vector<AccountId>> extra_groups = {};
  std::optional<uint32_t> umask = {};
  bool restore_signals = true;
  std::optional<uint32_t> pipesize_bytes = {};
  // Not asyncio's.
  std::optional<WindowSize> window_size = {};
  std::optional<Duration> drain_timeout = {};
  WriteBufferLimits write_buffer_limits = {};
  // Of this program only, not in the contract. Unset: not confined.
  std::optional<Confinement> confinement = {};
  // Null: nobody is asked. shared_ptr: owned by the caller and by the start.
  std::shared_ptr<SubprocessGate> gate = {};
};

class SubprocessProtocol;

// Held by its loop until ConnectionLost has been called, and by whoever keeps the shared_ptr. Every `done` may be null,
// and is called exactly once, on the loop's thread, perhaps before the method returns.
// Threading: loop thread only.
class SubprocessTransport {
 public:
  virtual ~SubprocessTransport() = default;

  virtual int GetPid() const = 0;
  // 0 to 255; -N when signal N killed it; unset until ProcessExited.
  virtual std::optional<int> GetReturncode() const = 0;
  // 0: what writes to stdin; 1 and 2: what reads stdout and stderr. Null when that is no pipe. A pseudo-terminal is 0
  // and 1, one transport for both directions, which cannot be half-closed.
  virtual std::shared_ptr<Transport> GetPipeTransport(int fd) const = 0;

  // `signal_number`: 0 to 64. Nothing, and OK, when the process has exited; after ConnectionLost ESRCH, asyncio's
  // ProcessLookupError. INVALID_ARGUMENT / INVALID_SIGNAL; EPERM.
  virtual void SendSignal(int signal_number, absl::AnyInvocable<void(absl::Status)> done = nullptr) = 0;
  // SIGTERM, SIGKILL.
  virtual void Terminate(absl::AnyInvocable<void(absl::Status)> done = nullptr) = 0;
  virtual void Kill(absl::AnyInvocable<void(absl::Status)> done = nullptr) = 0;

  // The pseudo-terminal's size; the foreground process gets SIGWINCH. FAILED_PRECONDITION / NOT_A_PTY when there is
  // none, INVALID_ARGUMENT / INVALID_WINDOW_SIZE.
  virtual void Resize(WindowSize size, absl::AnyInvocable<void(absl::Status)> done = nullptr) = 0;

  // Closes the pipes and, when the process has not exited, kills it (SIGKILL); a process group of its own is killed as
  // a whole, also when only its leader has exited, and also after ConnectionLost. ProcessExited and ConnectionLost
  // follow. Idempotent.
  virtual void Close() = 0;
  // Close was called.
  virtual bool IsClosing() const = 0;

  // `pid` alone is set.
  virtual const ExtraInfo& GetExtraInfo() const = 0;
  // From the next callback on. Not null.
  virtual void SetProtocol(std::shared_ptr<SubprocessProtocol> protocol) = 0;
  // Null after ConnectionLost.
  virtual std::shared_ptr<SubprocessProtocol> GetProtocol() const = 0;
};

// Threading: loop thread only.
class SubprocessProtocol {
 public:
  virtual ~SubprocessProtocol() = default;

  // Once, first: the program runs.
  virtual void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) { static_cast<void>(transport); }

  // Bytes from the child's stdout (1) or stderr (2); never empty, at most 262144. They are gone when the call returns.
  virtual void PipeDataReceived(int fd, std::string_view data) { static_cast<void>(fd), static_cast<void>(data); }

  // Once for each pipe: the child closed its end, or ended; for a pseudo-terminal with 0 and then with 1. Of 0 with an
  // EPIPE when bytes were still buffered.
  virtual void PipeConnectionLost(int fd, const ConnectionEnd& end) { static_cast<void>(fd), static_cast<void>(end); }

  // Once: GetReturncode tells.
  virtual void ProcessExited() {}

  // Of stdin's write buffer, strictly alternating; PauseWriting may be called from inside Write.
  virtual void PauseWriting() {}
  virtual void ResumeWriting() {}

  // Once, last. The totals of `end` are 0: the pipes have their own. kTimedOut with DEADLINE_EXCEEDED / WALL_TIME when
  // it was killed for Confinement.limits.wall_time.
  virtual void ConnectionLost(const ConnectionEnd& end) { static_cast<void>(end); }
};

// Makes the protocol of a new subprocess; not null.
using SubprocessProtocolFactory = absl::AnyInvocable<std::shared_ptr<SubprocessProtocol>()>;

// asyncio's (transport, protocol).
struct Subprocess {
  std::shared_ptr<SubprocessTransport> transport;
  std::shared_ptr<SubprocessProtocol> protocol;
  // What of its confinement the kernel lacks; empty unless that is Confinement::Level::kBestEffort.
  std::vector<ConfinementStep> not_confined = {};
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_SUBPROCESS_H_
