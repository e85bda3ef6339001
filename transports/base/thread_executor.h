// An executor of threads.
#ifndef TRANSPORTD_TRANSPORTS_BASE_THREAD_EXECUTOR_H_
#define TRANSPORTD_TRANSPORTS_BASE_THREAD_EXECUTOR_H_

#include <cstddef>
#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "transports/base/executor.h"
#include "transports/base/mutex.h"

namespace transportd {

// Threads are started when there is work for them, and stay. Threading: any thread; the destructor must not run in its
// work.
class ThreadExecutor final : public Executor {
 public:
  // At most `thread_count` (more than 0) threads, and `max_waiting_count` pieces of work besides those under way.
  ThreadExecutor(int thread_count, size_t max_waiting_count);
  // Waits for the work under way; what waits is called with CANCELLED.
  ~ThreadExecutor() override;

  void Submit(Work work) override;

 private:
  // Queues `work`, and starts a thread when all are busy. Not OK: it did not take `work`.
  absl::Status Enqueue(Work& work);
  bool StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunThread();

  const size_t max_thread_count_;
  const size_t max_waiting_count_;

  Mutex mutex_;
  CondVar work_or_stop_;
  std::deque<Work> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  size_t idle_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_THREAD_EXECUTOR_H_
