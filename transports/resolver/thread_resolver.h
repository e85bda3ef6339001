// The resolver on blocking threads.
#ifndef TRANSPORTD_TRANSPORTS_RESOLVER_THREAD_RESOLVER_H_
#define TRANSPORTD_TRANSPORTS_RESOLVER_THREAD_RESOLVER_H_

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "transports/base/mutex.h"
#include "transports/resolver/resolver.h"

namespace transportd {

// Threads are started when there is work for them, and stay. `look_up` is a seam for tests. Threading: any thread; the
// destructor must not run in a `done`.
class ThreadResolver final : public Resolver {
 public:
  using Result = absl::StatusOr<std::vector<SocketAddress>>;
  using Done = absl::AnyInvocable<void(Result)>;
  using LookUp = Result (*)(const ResolveRequest&);

  ThreadResolver(int thread_count, size_t max_waiting_count, LookUp look_up);
  ~ThreadResolver() override;

  void Resolve(ResolveRequest request, Done done) override;

 private:
  struct Work {
    ResolveRequest request;
    Done done;
  };

  // Queues `work`, and starts a thread when all are busy. Not OK: it did not take `work`.
  absl::Status Enqueue(Work& work);
  bool StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunThread();

  const size_t max_thread_count_;
  const size_t max_waiting_count_;
  const LookUp look_up_;

  Mutex mutex_;
  CondVar work_or_stop_;
  std::deque<Work> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  size_t idle_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_THREAD_RESOLVER_H_
