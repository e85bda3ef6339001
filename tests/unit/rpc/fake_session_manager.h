// A SessionManager that records what it is asked, and answers as the test says.
#ifndef TRANSPORTD_TESTS_UNIT_RPC_FAKE_SESSION_MANAGER_H_
#define TRANSPORTD_TESTS_UNIT_RPC_FAKE_SESSION_MANAGER_H_

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/session/session_manager.h"
#include "transports/base/mutex.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd {

// Its sessions run on one loop, in a thread of its own. Threading: any thread.
class FakeSessionManager final : public SessionManager {
 public:
  enum class Behaviour {
    kEcho,    // Sends every frame back.
    kFlood,   // Sends 64 KiB frames without end, and reads.
    kRefuse,  // Finishes before Start: UNAVAILABLE / SERVICE_STOPPING.
  };

  FakeSessionManager();
  ~FakeSessionManager() override;

  void SetBehaviour(Behaviour behaviour);
  // What Execute replies; null: it waits for its cancellation, and then replies CANCELLED / CANCELLED.
  void SetReply(std::function<v1::Reply(const v1::Command&)> reply);

  std::vector<v1::Command> TakeCommands();
  // The SessionManager methods called so far, by name.
  std::vector<std::string> TakeCalls();
  std::vector<Caller> callers();
  // Waits until no session's stream is held.
  void WaitForNoSession();
  // Waits until that many sessions were opened, all told.
  void WaitForOpened(int count);
  int lost_count();
  int half_closed_count();
  // Of those, and of lost_count, how many were told on another thread than the loop's own.
  int ended_elsewhere_count();

  // SessionManager
  void OpenStreaming(Caller caller, std::shared_ptr<FrameStream> stream) override;
  void OpenSession(Caller caller, v1::OpenSessionRequest request,
                   absl::AnyInvocable<void(absl::StatusOr<v1::OpenSessionResponse>)> done) override;
  void CloseSession(Caller caller, v1::CloseSessionRequest request,
                    absl::AnyInvocable<void(absl::StatusOr<v1::CloseSessionResponse>)> done) override;
  void AttachCallbacks(Caller caller, v1::CallbacksRequest request, std::shared_ptr<FrameStream> stream) override;
  absl::AnyInvocable<void()> Execute(Caller caller, v1::Command command,
                                     absl::AnyInvocable<void(v1::Reply)> done) override;
  void ListSessions(Caller caller, v1::ListSessionsRequest request,
                    absl::AnyInvocable<void(absl::StatusOr<v1::ListSessionsResponse>)> done) override;
  void ListTransports(Caller caller, v1::ListTransportsRequest request,
                      absl::AnyInvocable<void(absl::StatusOr<v1::ListTransportsResponse>)> done) override;
  void GetStatus(Caller caller, v1::GetStatusRequest request,
                 absl::AnyInvocable<void(absl::StatusOr<v1::GetStatusResponse>)> done) override;
  void EndTransport(Caller caller, v1::EndTransportRequest request,
                    absl::AnyInvocable<void(absl::StatusOr<v1::EndTransportResponse>)> done) override;
  void EndSession(Caller caller, v1::EndSessionRequest request,
                  absl::AnyInvocable<void(absl::StatusOr<v1::EndSessionResponse>)> done) override;
  ServiceStats Stats() const override { return {}; }
  bool IsDraining() const override { return false; }
  void Recheck() override {}
  void Drain(Duration /*time_left*/) override {}
  void WaitIdle(absl::AnyInvocable<void()> done) override { done(); }
  void Stop(absl::AnyInvocable<void()> done) override { done(); }

 private:
  class Session;

  void Record(const char* call, const Caller& caller);
  void Begin(std::shared_ptr<FrameStream> stream, bool reads);
  void End(const std::shared_ptr<Session>& session);

  std::unique_ptr<EpollEventLoop> loop_;
  std::thread thread_;

  Mutex mutex_;
  CondVar changed_;
  Behaviour behaviour_ ABSL_GUARDED_BY(mutex_) = Behaviour::kEcho;
  std::function<v1::Reply(const v1::Command&)> reply_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Command> commands_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::vector<Caller> callers_ ABSL_GUARDED_BY(mutex_);
  std::set<std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mutex_);
  int opened_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int lost_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int half_closed_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int ended_elsewhere_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_RPC_FAKE_SESSION_MANAGER_H_
