#include "transports/reactor/task_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd {

absl::StatusOr<std::shared_ptr<TaskQueue>> TaskQueue::Create() {
  UniqueFd wake_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_fd.valid()) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "eventfd");
  }
  return std::shared_ptr<TaskQueue>(new TaskQueue(std::move(wake_fd)));
}

void TaskQueue::Post(Task task) {
  if (PostQuietly(std::move(task))) Signal();
}

bool TaskQueue::PostQuietly(Task task) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  tasks_.push_back(std::move(task));
  return std::exchange(sleeping_, false);
}

void TaskQueue::Wake() {
  {
    MutexLock lock(mutex_);
    if (!std::exchange(sleeping_, false)) return;
  }
  Signal();
}

size_t TaskQueue::size() const {
  MutexLock lock(mutex_);
  return tasks_.size();
}

void TaskQueue::TakeInto(std::vector<Task>& tasks) {
  MutexLock lock(mutex_);
  sleeping_ = false;
  if (tasks.empty()) {
    tasks.swap(tasks_);  // Both keep their memory for the next batch.
    return;
  }
  tasks.insert(tasks.end(), std::make_move_iterator(tasks_.begin()), std::make_move_iterator(tasks_.end()));
  tasks_.clear();
}

bool TaskQueue::PrepareToSleep() {
  MutexLock lock(mutex_);
  if (!tasks_.empty()) return false;
  sleeping_ = true;
  return true;
}

void TaskQueue::Close() {
  std::vector<Task> uncalled;  // Destroyed without the lock: a task may own something that posts.
  MutexLock lock(mutex_);
  closed_ = true;
  uncalled.swap(tasks_);
}

void TaskQueue::Signal() {
  const uint64_t one = 1;
  ssize_t written = 0;
  do {
    written = ::write(wake_fd_.get(), &one, sizeof(one));
  } while (written < 0 && errno == EINTR);
  // EAGAIN: 2^64 - 2 signals that nobody read. At one a nanosecond that takes 584 years.
  CHECK(written == sizeof(one));
}

}  // namespace transportd
