// The door into the loop for other threads.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_TASK_QUEUE_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_TASK_QUEUE_H_

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/base/mutex.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Many threads post, one takes. The taker is woken through an eventfd, and only when it sleeps: posting to a busy
// loop costs no system call. Held by its reactor and by whoever posts to a reactor that may be gone first.
// Threading: Post, Wake and size any thread; the rest the taker only.
class TaskQueue final {
 public:
  using Task = absl::AnyInvocable<void()>;

  // The kernel's error when there is no eventfd to be had.
  static absl::StatusOr<std::shared_ptr<TaskQueue>> Create();

  // Queues `task`; FIFO for each posting thread. After Close it is destroyed uncalled, on this thread.
  void Post(Task task);
  // The same without waking the taker. True: it sleeps, and nobody else will wake it: the caller must see to the task,
  // or Signal.
  [[nodiscard]] bool PostQuietly(Task task);
  // Ends the taker's sleep; nothing when it is awake.
  void Wake();
  size_t size() const;

  // Becomes readable, edge-triggered (EPOLLET), when a sleeper must wake. It is never read: each write is an edge.
  int wake_fd() const { return wake_fd_.get(); }
  // Moves all tasks to the end of `tasks`. The taker is awake from then on.
  void TakeInto(std::vector<Task>& tasks);
  // True: nothing is queued, and from now until TakeInto a Post or Wake makes wake_fd() readable. False: do not sleep.
  bool PrepareToSleep();
  // Destroys what is queued, uncalled.
  void Close();
  // Makes wake_fd() readable.
  void Signal();

 private:
  explicit TaskQueue(UniqueFd wake_fd) : wake_fd_(std::move(wake_fd)) {}

  const UniqueFd wake_fd_;
  mutable Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool sleeping_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_TASK_QUEUE_H_
