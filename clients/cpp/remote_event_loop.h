// The event loop whose sockets are in the service.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_EVENT_LOOP_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_EVENT_LOOP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/frame_channel.h"
#include "clients/cpp/remote_operation.h"
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
  OperationId CreateUnixConnection(ProtocolFactory factory, CreateUnixConnectionOptions options,
                                   absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId CreateUnixServer(ProtocolFactory factory, CreateUnixServerOptions options,
                               absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) override;
  OperationId CreateDatagramEndpoint(DatagramProtocolFactory factory, CreateDatagramEndpointOptions options,
                                     absl::AnyInvocable<void(absl::StatusOr<DatagramEndpoint>)> done) override;
  OperationId ConnectReadPipe(ProtocolFactory factory, ConnectPipeOptions options,
                              absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId ConnectWritePipe(ProtocolFactory factory, ConnectPipeOptions options,
                               absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId SubprocessExec(SubprocessProtocolFactory factory, std::string program, std::vector<std::string> args,
                             SubprocessOptions options,
                             absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) override;
  OperationId SubprocessShell(SubprocessProtocolFactory factory, std::string cmd, SubprocessOptions options,
                              absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) override;
  OperationId ConnectAcceptedSocket(ProtocolFactory factory, ConnectAcceptedSocketOptions options,
                                    absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId Socketpair(SocketpairOptions options, absl::AnyInvocable<void(absl::StatusOr<SocketPair>)> done) override;
  OperationId Getaddrinfo(GetaddrinfoOptions options,
                          absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) override;
  OperationId Getnameinfo(SocketAddress address, int flags,
                          absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) override;
  OperationId Sendfile(std::shared_ptr<Transport> transport, SendfileOptions options,
                       absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) override;
  OperationId StartTls(std::shared_ptr<Transport> transport, StartTlsOptions options,
                       absl::AnyInvocable<void(absl::Status)> done) override;
  void CancelOperation(OperationId operation) override;
  void SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) override;

  // `handler` is called when the service is about to stop, at most once: it takes no new session, and ends this one in
  // `time_left` (0 or more) at the latest. Null, as in the beginning: it goes unnoticed until then.
  void SetDrainingHandler(absl::AnyInvocable<void(Duration time_left)> handler) {
    draining_handler_ = std::move(handler);
  }

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
  struct Entry {
    OperationId id = 0;
    std::unique_ptr<RemoteOperation> operation;
    uint32_t request_id = 0;  // 0: never sent.
    bool is_answered = false;
    bool is_cancelled = false;  // It will fail with CANCELLED, in a later turn.
    bool is_done = false;
  };

  RemoteEventLoop(std::unique_ptr<Reactor> reactor, std::unique_ptr<FrameChannel> channel);

  // What the service makes of it must be undone.
  static bool IsUndone(const Entry& entry) { return entry.is_cancelled && !entry.operation->CancelWaits(); }

  // What makes one stream transport, or a server. `fill` writes the request into the command.
  template <typename CallOptions, typename Fill>
  OperationId StartConnect(ProtocolFactory factory, const CallOptions& options, Fill fill,
                           absl::AnyInvocable<void(absl::StatusOr<Connection>)> done);
  template <typename CallOptions, typename Fill>
  OperationId StartListen(ProtocolFactory factory, const CallOptions& options, Fill fill,
                          absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done);
  template <typename CallOptions>
  OperationId StartSock(ProtocolFactory factory, const CallOptions& options, bool either,
                        absl::AnyInvocable<void(absl::StatusOr<Connection>)> done);
  std::shared_ptr<Entry> AddOperation(std::unique_ptr<RemoteOperation> operation);
  void SendCommand(const std::shared_ptr<Entry>& entry, v1::Command command);
  OperationId StartSubprocess(SubprocessProtocolFactory factory, const WriteBufferLimits& limits,
                              absl::StatusOr<v1::Command> command,
                              absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done);
  // Sends the command; or fails with its error, in a later turn.
  OperationId StartOperation(std::unique_ptr<RemoteOperation> operation, absl::StatusOr<v1::Command> command);
  void OnReply(const std::shared_ptr<Entry>& entry, const absl::StatusOr<v1::Reply>& reply);
  void Finish(Entry& entry, const v1::Reply& reply);
  void Fail(Entry& entry, const absl::Status& status);
  void FailSoon(std::shared_ptr<Entry> entry, absl::Status status);

  // RemoteSession::Observer
  void OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) override;
  void ReportException(const ExceptionContext& context) override;
  void OnDraining(Duration time_left) override;

  const std::unique_ptr<Reactor> reactor_;
  // shared_ptr: the channel watches it; nobody else owns it.
  const std::shared_ptr<RemoteSession> session_;
  OperationId last_operation_id_ = 0;
  // shared_ptr: owned by the table until `done`, and by what is on its way back to it.
  absl::flat_hash_map<OperationId, std::shared_ptr<Entry>> operations_;
  // By request id, until the service has answered: also those that were cancelled.
  absl::flat_hash_map<uint32_t, std::shared_ptr<Entry>> unanswered_;
  // Shared with ReportException's stack while it runs, so that the handler may set another one.
  std::shared_ptr<absl::AnyInvocable<void(const ExceptionContext&)>> exception_handler_;
  absl::AnyInvocable<void(Duration)> draining_handler_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_EVENT_LOOP_H_
