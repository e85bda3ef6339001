// The thread on which all listeners of the service accept.
#ifndef TRANSPORTD_SERVER_LISTEN_ACCEPT_THREAD_H_
#define TRANSPORTD_SERVER_LISTEN_ACCEPT_THREAD_H_

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "server/listen/unauthenticated_connections.h"
#include "server/policy/connection_guard.h"
#include "transports/loop/loop_thread.h"

namespace transportd {

// And the connections of which nobody knows yet whose they are, of all listeners together. Threading: any thread but
// its own.
class AcceptThread final {
 public:
  // `guard`: who may connect; outlives this. Null: everybody. `authentication_timeout`: UnauthenticatedConnections'.
  // The kernel's error when there can be no thread.
  static absl::StatusOr<std::shared_ptr<AcceptThread>> Create(ConnectionGuard* guard,
                                                              std::chrono::nanoseconds authentication_timeout);
  // After its listeners.
  ~AcceptThread();

  LoopThread& thread() { return *thread_; }
  // Null without a guard.
  UnauthenticatedConnections* unauthenticated() { return unauthenticated_.get(); }

  // No more connections are admitted, and of those that are there none is watched over any longer. Idempotent.
  void Close();

 private:
  explicit AcceptThread(std::unique_ptr<LoopThread> thread) : thread_(std::move(thread)) {}

  std::unique_ptr<LoopThread> thread_;
  std::unique_ptr<UnauthenticatedConnections> unauthenticated_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_LISTEN_ACCEPT_THREAD_H_
