// All sessions of the service: makes them, pins each to a loop, finds them again, ends them.
#ifndef TRANSPORTD_SERVER_SESSION_SESSION_MANAGER_H_
#define TRANSPORTD_SERVER_SESSION_SESSION_MANAGER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/authorizer.h"
#include "server/session/frame_stream.h"
#include "server/session/session_limits.h"
#include "server/session/session_stats.h"
#include "transportd/v1/admin.pb.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/loop/epoll_event_loop.h"
#include "transports/reactor/reactor_stats.h"

namespace transportd {

// What the loops have done so far, for metrics. Threading: a value.
struct ServiceStats {
  struct Loop {
    uint32_t session_count = 0;
    TimePoint time = {};
    std::shared_ptr<const SessionStats> sessions;
    const ReactorStats* reactor = nullptr;  // The manager's.
  };
  std::vector<Loop> loops;
  uint32_t session_count = 0;
  uint32_t transport_count = 0;  // Places, those under way included.
  uint64_t buffered_bytes = 0;
  ServiceLimits limits;
};

// Every `done` is called exactly once: on a loop's thread, or before the method returns. Threading: any thread.
class SessionManager {
 public:
  struct Options {
    int loop_count = 1;  // 1 to 64 threads.
    SessionLimits session_limits;
    ServiceLimits service_limits;
    std::string instance_target;             // Opened.instance_target; may be empty.
    const Authorizer* authorizer = nullptr;  // Outlives the manager.
    // Fills in what the sessions do not know of Admin.GetStatus's answer. Any thread.
    std::function<void(v1::GetStatusResponse&)> describe_service = [](v1::GetStatusResponse&) {};
    // Of each loop. Without a resolver or an executor, the loops share the manager's own.
    EpollEventLoop::Options loop;
  };

  static absl::StatusOr<std::unique_ptr<SessionManager>> Create(Options options);
  // Ends the loops. Stop must have answered; not from a loop's thread.
  virtual ~SessionManager() = default;

  // EventLoop.Session: the session lives as long as `stream`. A refusal is the stream's status.
  virtual void OpenStreaming(Caller caller, std::shared_ptr<FrameStream> stream) = 0;

  // EventLoop.OpenSession.
  virtual void OpenSession(Caller caller, v1::OpenSessionRequest request,
                           absl::AnyInvocable<void(absl::StatusOr<v1::OpenSessionResponse>)> done) = 0;
  // EventLoop.CloseSession.
  virtual void CloseSession(Caller caller, v1::CloseSessionRequest request,
                            absl::AnyInvocable<void(absl::StatusOr<v1::CloseSessionResponse>)> done) = 0;
  // EventLoop.Callbacks: `stream` is only written to. A refusal is its status.
  virtual void AttachCallbacks(Caller caller, v1::CallbacksRequest request, std::shared_ptr<FrameStream> stream) = 0;

  // A command through the unary door, in the session that its request names (for `write`: use write_and_drain). The
  // Reply is what the Session stream would send; an unknown session is one with NOT_FOUND / UNKNOWN_SESSION. What is
  // returned cancels: callable once, from any thread, any time; the Reply still comes.
  virtual absl::AnyInvocable<void()> Execute(Caller caller, v1::Command command,
                                             absl::AnyInvocable<void(v1::Reply)> done) = 0;

  // Admin.ListSessions, Admin.ListTransports.
  virtual void ListSessions(Caller caller, v1::ListSessionsRequest request,
                            absl::AnyInvocable<void(absl::StatusOr<v1::ListSessionsResponse>)> done) = 0;
  virtual void ListTransports(Caller caller, v1::ListTransportsRequest request,
                              absl::AnyInvocable<void(absl::StatusOr<v1::ListTransportsResponse>)> done) = 0;

  // Admin.GetStatus, Admin.EndTransport, Admin.EndSession.
  virtual void GetStatus(Caller caller, v1::GetStatusRequest request,
                         absl::AnyInvocable<void(absl::StatusOr<v1::GetStatusResponse>)> done) = 0;
  virtual void EndTransport(Caller caller, v1::EndTransportRequest request,
                            absl::AnyInvocable<void(absl::StatusOr<v1::EndTransportResponse>)> done) = 0;
  virtual void EndSession(Caller caller, v1::EndSessionRequest request,
                          absl::AnyInvocable<void(absl::StatusOr<v1::EndSessionResponse>)> done) = 0;
  // Asks no loop, so disturbs none.
  virtual ServiceStats Stats() const = 0;
  virtual bool IsDraining() const = 0;

  // The policy has changed: each session ends what it does not allow any more. See Session::Recheck.
  virtual void Recheck() = 0;

  // From now on new sessions are refused, UNAVAILABLE / SERVICE_STOPPING, and each open one is told how long it has
  // before Stop. Idempotent: the first time counts.
  virtual void Drain(Duration time_left) = 0;
  // `done` is called when no session is open (at once, or later); only the last call waits.
  virtual void WaitIdle(absl::AnyInvocable<void()> done) = 0;
  // Ends every session: its transports are aborted, every protocol hears connection_lost(SERVICE_STOPPING), its streams
  // end with UNAVAILABLE / SERVICE_STOPPING. `done` is called when none is left, on a loop's thread or at once; in the
  // place of a WaitIdle that waits.
  virtual void Stop(absl::AnyInvocable<void()> done) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SESSION_MANAGER_H_
