#include "transports/base/thread_executor.h"

#include <pthread.h>

#include <system_error>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

absl::Status Stopping() { return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the executor is ending"); }

}  // namespace

ThreadExecutor::ThreadExecutor(int thread_count, size_t max_waiting_count)
    : max_thread_count_(static_cast<size_t>(thread_count)), max_waiting_count_(max_waiting_count) {
  CHECK(thread_count > 0);
}

ThreadExecutor::~ThreadExecutor() {
  std::deque<Work> unstarted;
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    unstarted.swap(waiting_);
    threads.swap(threads_);
  }
  work_or_stop_.SignalAll();
  for (Work& work : unstarted) work(Stopping());
  for (std::thread& thread : threads) thread.join();
}

void ThreadExecutor::Submit(Work work) {
  if (absl::Status status = Enqueue(work); !status.ok()) work(std::move(status));
}

absl::Status ThreadExecutor::Enqueue(Work& work) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return Stopping();
    // Every idle thread is about to take one of those that wait.
    const bool all_busy = waiting_.size() >= idle_count_;
    const bool started = all_busy && threads_.size() < max_thread_count_ && StartThread();
    if (all_busy && !started && waiting_.size() - idle_count_ >= max_waiting_count_) {
      return MakeError(absl::StatusCode::kResourceExhausted, "EXECUTOR_BUSY",
                       StrCat(max_waiting_count_, " pieces of work wait for a thread; no more are taken"));
    }
    if (threads_.empty()) {
      return MakeError(absl::StatusCode::kResourceExhausted, "EXECUTOR_BUSY", "no thread can be started");
    }
    waiting_.push_back(std::move(work));
  }
  work_or_stop_.Signal();
  return absl::OkStatus();
}

bool ThreadExecutor::StartThread() {
  try {
    threads_.emplace_back([this] { RunThread(); });
    ++idle_count_;  // Until it takes its first work.
    return true;
  } catch (const std::system_error&) {  // EAGAIN: the system has no more threads. Those that run will do.
    return false;
  }
}

void ThreadExecutor::RunThread() {
  ::pthread_setname_np(::pthread_self(), "executor");  // Else it has the name of whoever needed it first.
  while (true) {
    Work work;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !stopping_) work_or_stop_.Wait(mutex_);
      if (stopping_) return;
      work = std::move(waiting_.front());
      waiting_.pop_front();
      --idle_count_;
    }
    work(absl::OkStatus());
    work = nullptr;  // What it owns must not wait for the next one.
    MutexLock lock(mutex_);
    ++idle_count_;
  }
}

}  // namespace transportd
