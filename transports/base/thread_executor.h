// An executor of threads.
#ifndef TRANSPORTD_TRANSPORTS_BASE_THREAD_EXECUTOR_H_
#define TRANSPORTD_TRANSPORTS_BASE_THREAD_EXECUTOR_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "transports/base/asker.h"
#include "transports/base/executor.h"
#include "transports/base/mutex.h"

namespace transportd {

// Threads are started when there is work for them, and stay. An asker with a name has half of them at most (at least
// one), and a queue of its own for the rest: askers take turns, and slow work delays nobody but who asked for it.
// Threading: any thread; the destructor must not run in its work.
class ThreadExecutor final : public Executor {
 public:
  // At most `thread_count` (more than 0) threads, and `max_waiting_count` pieces of each asker's work besides those
  // that it may have under way.
  ThreadExecutor(int thread_count, size_t max_waiting_count);
  // Waits for the work under way; what waits is called with CANCELLED.
  ~ThreadExecutor() override;

  // Nobody's: may have all threads.
  void Submit(Work work) override { SubmitFor({}, std::move(work)); }
  // Work that is called off before its turn is called with CANCELLED, at the latest when it would have been its turn.
  void SubmitFor(Asker asker, Work work);

 private:
  struct Piece {
    Work work;
    std::stop_token called_off;
  };
  // Of one asker; as long as it has any.
  struct Queue {
    size_t turn_count = 0;      // Pieces that are ready or under way.
    std::deque<Piece> waiting;  // None, unless it has all the turns that it may.
  };
  using Queues = std::map<std::string, Queue, std::less<>>;
  struct Turn {
    Piece piece;
    Queues::iterator queue = {};
  };

  // Queues `piece`, and starts a thread when all are busy. Not OK: it did not take `piece`. `called_off`: what had to
  // leave a full queue, to be told so.
  absl::Status Enqueue(std::string name, Piece& piece, std::deque<Piece>& called_off);
  // A place in `waiting`, of which those called off are taken when it is full.
  bool HasRoom(std::deque<Piece>& waiting, std::deque<Piece>& called_off) const;
  size_t MaxTurnCount(std::string_view name) const;
  void StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunThread();
  // A piece of the queue's is done: the next one has its turn, behind those of others.
  void EndTurn(Queues::iterator queue) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_thread_count_;
  const size_t max_waiting_count_;

  Mutex mutex_;
  CondVar work_or_stop_;
  Queues queues_ ABSL_GUARDED_BY(mutex_);
  std::deque<Turn> ready_ ABSL_GUARDED_BY(mutex_);  // For the next thread that is idle.
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  size_t idle_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_THREAD_EXECUTOR_H_
