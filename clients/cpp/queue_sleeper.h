// A reactor's sleep in a completion queue of gRPC's.
#ifndef TRANSPORTD_CLIENTS_CPP_QUEUE_SLEEPER_H_
#define TRANSPORTD_CLIENTS_CPP_QUEUE_SLEEPER_H_

#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "grpcpp/alarm.h"
#include "grpcpp/completion_queue.h"
#include "proto/grpc/immediate_completion.h"
#include "transports/base/mutex.h"
#include "transports/reactor/reactor.h"
#include "transports/reactor/sleeper.h"

namespace transportd {

// The reactor's thread is the queue's thread. gRPC knows nothing of the reactor's own descriptors, so a second thread
// sleeps in poll(2) for them, and ends the first one's sleep; where only frames come it never wakes. A timer is late by
// up to a millisecond, which is what gRPC's deadlines count in. Threading: loop thread only.
class QueueSleeper final : public Sleeper {
 public:
  // `reactor` must outlive it. `completed` is called for each completion of the queue's operations, in a turn of the
  // reactor's, once SetSleeper was called.
  QueueSleeper(Reactor& reactor, absl::AnyInvocable<void(const GrpcCompletion&)> completed);
  ~QueueSleeper() override;

  grpc::CompletionQueue& queue() { return queue_; }

  // Nothing of the reactor's ends a sleep any more. What is still under way is taken out by DrainOne.
  void Leave();
  // Waits for an operation, and calls `completed`. False: none is under way after queue().Shutdown().
  bool DrainOne();

  // Sleeper
  bool Sleep(std::optional<Duration> timeout) override;
  void Dispatch() override;

 private:
  // The second thread.
  void WatchDescriptors();

  Reactor& reactor_;
  absl::AnyInvocable<void(const GrpcCompletion&)> completed_;
  grpc::CompletionQueue queue_;
  std::optional<GrpcCompletion> found_;

  bool looks_ = false;  // The alarm has rung: the reactor looks at its descriptors in this turn.
  Mutex mutex_;
  CondVar looked_;
  bool is_leaving_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_rung_ ABSL_GUARDED_BY(mutex_) = false;  // The alarm is under way, or the reactor has not looked since.
  grpc::Alarm alarm_;                              // Rung by the second thread while has_rung_ is false.
  std::thread thread_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_QUEUE_SLEEPER_H_
