// The event loop: timers, callbacks, and the calls that make transports.
// https://docs.python.org/3.13/library/asyncio-eventloop.html
//
// EpollEventLoop (transports/loop) has its sockets here; RemoteEventLoop (clients/cpp) has them in the service.
#ifndef TRANSPORTD_TRANSPORTS_API_EVENT_LOOP_H_
#define TRANSPORTD_TRANSPORTS_API_EVENT_LOOP_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/protocol.h"
#include "transports/api/server.h"
#include "transports/api/transport.h"

namespace transportd {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Names a timer, or a create_* call under way; never used twice by one loop. 0 names nothing.
using TimerId = uint64_t;
using OperationId = uint64_t;

// Makes the protocol of a new transport: a Protocol or a BufferedProtocol, not null. For a server, once for each
// accepted connection.
using ProtocolFactory = absl::AnyInvocable<std::shared_ptr<BaseProtocol>()>;

// asyncio's (transport, protocol).
struct Connection {
  std::shared_ptr<Transport> transport;
  std::shared_ptr<BaseProtocol> protocol;
};

// CreateConnectionRequest in proto/transportd/v1/event_loop.proto says what each means, unset and 0 included.
struct CreateConnectionOptions {
  HostPort remote = {};
  AddressFamily family = AddressFamily::kUnspecified;
  int flags = 0;
  int proto = 0;
  std::optional<HostPort> local = {};
  std::optional<Duration> happy_eyeballs_delay = {};
  std::optional<uint32_t> interleave = {};
  std::optional<Duration> timeout = {};  // Unset: the loop's default, 60 s.
  WriteBufferLimits write_buffer_limits = {};
};

// CreateServerRequest in proto/transportd/v1/event_loop.proto says what each means, unset and 0 included.
struct CreateServerOptions {
  std::vector<std::string> hosts = {};
  std::optional<uint32_t> port = {};
  AddressFamily family = AddressFamily::kUnspecified;
  std::optional<int> flags = {};
  uint32_t backlog = 100;
  bool reuse_address = true;
  bool reuse_port = false;
  bool keep_alive = false;
  bool start_serving = true;
  WriteBufferLimits write_buffer_limits = {};
  std::optional<Duration> timeout = {};  // Unset: the loop's default, 60 s.
};

// What the exception handler is told: something that no protocol hears of.
struct ExceptionContext {
  std::string message = {};
  absl::Status status = {};        // OK when there is no error behind it.
  const Server* server = nullptr;  // The server it happened to; null: none. Valid during the call only.
};

// Threading: loop thread only, but for CallSoonThreadsafe and Stop.
class EventLoop {
 public:
  virtual ~EventLoop() = default;

  // In the next turn, after what was asked for before.
  virtual void CallSoon(absl::AnyInvocable<void()> callback) = 0;
  // As CallSoon, from any thread; the only way in. FIFO for each calling thread. On a loop that was closed the
  // callback is destroyed uncalled.
  virtual void CallSoonThreadsafe(absl::AnyInvocable<void()> callback) = 0;
  // Once, at or after the time; callbacks of the same time in the order they were asked for. A time in the past
  // counts as now.
  virtual TimerId CallLater(Duration delay, absl::AnyInvocable<void()> callback) = 0;
  virtual TimerId CallAt(TimePoint when, absl::AnyInvocable<void()> callback) = 0;
  // True when the timer had not fired; its callback is then destroyed uncalled.
  virtual bool CancelTimer(TimerId timer) = 0;
  // Constant within a turn.
  virtual TimePoint Time() const = 0;

  // Runs until Stop. May be run again.
  virtual void RunForever() = 0;
  // Any thread. RunForever returns at the end of the turn; one that is not running returns at the end of its first.
  virtual void Stop() = 0;

  // Opens a TCP connection. The factory is called when it is there; then ConnectionMade; then, in a later turn, `done`,
  // before any DataReceived. `done` is called exactly once, never before this returns. Errors:
  // EventLoop.CreateConnection in proto/transportd/v1/event_loop.proto.
  virtual OperationId CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                                       absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) = 0;

  // Listens on TCP. `done` as above; no connection is accepted before it.
  virtual OperationId CreateServer(ProtocolFactory factory, CreateServerOptions options,
                                   absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) = 0;

  // Cancels a create_* call: its `done` gets CANCELLED / CANCELLED in a later turn, and nothing stays behind. Nothing
  // when it is done already.
  virtual void CancelOperation(OperationId operation) = 0;

  // Unset: logged to standard error.
  virtual void SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_EVENT_LOOP_H_
