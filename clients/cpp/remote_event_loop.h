// The event loop whose sockets are in the service.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_EVENT_LOOP_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_EVENT_LOOP_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/frame_channel.h"
#include "clients/cpp/remote_session.h"
#include "transports/api/event_loop.h"
#include "transports/base/clock.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// Timers and callbacks run here; transports and servers live in one session of the service and behave as
// EpollEventLoop's do. Programs make one with ConnectRemoteEventLoop (clients/cpp/connect.h).
//
// When the session is lost, every protocol gets ConnectionLost with EndCause::kSessionLost and UNAVAILABLE /
// SESSION_LOST, every `done` under way gets that status, and so does every later create_* call; timers and callbacks go
// on.
//
// Threading: loop thread only, but for CallSoonThreadsafe and Stop; see Reactor.
class RemoteEventLoop final : public EventLoop, private RemoteSession::Observer {
 public:
  struct Options {
    // Shown by `transportctl sessions`; at most 128 bytes, UTF-8.
    std::string client_name;
    // Must outlive the loop. Null: the system's.
    Clock* clock = nullptr;
  };

  // Opens a session over `channel`. Does not wait: what is asked for before the service has answered waits itself.
  // Fails with the kernel's error when epoll or eventfd cannot be had.
  static absl::StatusOr<std::unique_ptr<RemoteEventLoop>> Create(std::unique_ptr<FrameChannel> channel,
                                                                 const Options& options);

  // Ends the session, and with it every transport and server, without calling a protocol; callbacks and timers that
  // did not run, and every `done` under way, are destroyed uncalled. May wait for the service, at most for a second.
  ~RemoteEventLoop() override;

  // Runs the loop until the session is open. Otherwise: what the stream ended with (UNAUTHENTICATED, UNAVAILABLE, …),
  // or DEADLINE_EXCEEDED / CONNECT_TIMEOUT.
  absl::Status WaitOpened(Duration timeout);
  // The session is open and was not lost.
  bool IsConnected() const { return session_->is_open(); }

  // EventLoop
  void CallSoon(absl::AnyInvocable<void()> callback) override;
  void CallSoonThreadsafe(absl::AnyInvocable<void()> callback) override;
  TimerId CallLater(Duration delay, absl::AnyInvocable<void()> callback) override;
  TimerId CallAt(TimePoint when, absl::AnyInvocable<void()> callback) override;
  bool CancelTimer(TimerId timer) override;
  TimePoint Time() const override;
  void RunForever() override;
  void Stop() override;
  OperationId CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                               absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId CreateServer(ProtocolFactory factory, CreateServerOptions options,
                           absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) override;
  void CancelOperation(OperationId operation) override;
  void SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) override;

  // What it runs on: turns by hand, turn-end callbacks, watches.
  Reactor& reactor() { return *reactor_; }

  // What is alive, for tests and metrics.
  struct Counts {
    size_t operations = 0;
    size_t transports = 0;
    size_t servers = 0;
  };
  Counts GetCounts() const;

 private:
  // A create_* call. `done` of one kind is set until it was called. Threading: loop thread only.
  struct Operation {
    OperationId id = 0;
    uint32_t request_id = 0;  // 0: never sent.
    ProtocolFactory factory;
    WriteBufferMarks marks;
    bool start_serving = true;
    std::shared_ptr<RemoteTransport> transport;
    absl::AnyInvocable<void(absl::StatusOr<Connection>)> connection_done;
    absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> server_done;
    bool is_cancelled = false;  // `done` will be told so, in a later turn.
    bool is_done = false;
  };

  RemoteEventLoop(std::unique_ptr<Reactor> reactor, std::unique_ptr<FrameChannel> channel);

  // shared_ptr: owned by the table until `done`, and by what is on its way back to it.
  std::shared_ptr<Operation> AddOperation();
  void FailSoon(std::shared_ptr<Operation> operation, absl::Status status);
  // Calls `done` with the error, unless it was called; aborts what was made already.
  void Fail(Operation& operation, const absl::Status& status);
  void OnConnectionReply(const std::shared_ptr<Operation>& operation, absl::StatusOr<v1::Reply> reply);
  void OnServerReply(Operation& operation, const absl::StatusOr<v1::Reply>& reply);

  // RemoteSession::Observer
  void OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) override;
  void ReportException(const ExceptionContext& context) override;

  const std::unique_ptr<Reactor> reactor_;
  // shared_ptr: the channel watches it; nobody else owns it.
  const std::shared_ptr<RemoteSession> session_;
  OperationId last_operation_id_ = 0;
  absl::flat_hash_map<OperationId, std::shared_ptr<Operation>> operations_;
  // By request id, until the service has answered: also those that were cancelled.
  absl::flat_hash_map<uint32_t, std::shared_ptr<Operation>> connecting_;
  // Shared with ReportException's stack while it runs, so that the handler may set another one.
  std::shared_ptr<absl::AnyInvocable<void(const ExceptionContext&)>> exception_handler_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_EVENT_LOOP_H_
