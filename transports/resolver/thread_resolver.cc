#include "transports/resolver/thread_resolver.h"

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"
#include "transports/resolver/lookup.h"

namespace transportd {

ThreadResolver::ThreadResolver(int thread_count, size_t max_waiting_count, LookUp look_up)
    : max_thread_count_(static_cast<size_t>(thread_count)), max_waiting_count_(max_waiting_count), look_up_(look_up) {
  CHECK(thread_count > 0);
}

ThreadResolver::~ThreadResolver() {
  std::deque<Work> unanswered;
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    unanswered.swap(waiting_);
    threads.swap(threads_);
  }
  work_or_stop_.SignalAll();
  for (Work& work : unanswered) {
    work.done(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the resolver is stopping"));
  }
  for (std::thread& thread : threads) thread.join();
}

void ThreadResolver::Resolve(ResolveRequest request, Done done) {
  if (absl::Status status = ValidateRequest(request); !status.ok()) return done(std::move(status));
  if (std::optional<Result> result = LookUpNumeric(request); result.has_value()) return done(*std::move(result));
  Work work{std::move(request), std::move(done)};
  if (absl::Status status = Enqueue(work); !status.ok()) work.done(std::move(status));
}

absl::Status ThreadResolver::Enqueue(Work& work) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the resolver is stopping");
    // Every idle thread is about to take one of those that wait.
    const bool all_busy = waiting_.size() >= idle_count_;
    const bool started = all_busy && threads_.size() < max_thread_count_ && StartThread();
    if (all_busy && !started && waiting_.size() - idle_count_ >= max_waiting_count_) {
      return MakeError(absl::StatusCode::kResourceExhausted, "RESOLVER_BUSY",
                       StrCat(max_waiting_count_, " names wait to be resolved; no more are taken"));
    }
    if (threads_.empty()) {
      return MakeError(absl::StatusCode::kResourceExhausted, "RESOLVER_BUSY", "no thread can be started to resolve");
    }
    waiting_.push_back(std::move(work));
  }
  work_or_stop_.Signal();
  return absl::OkStatus();
}

bool ThreadResolver::StartThread() {
  try {
    threads_.emplace_back([this] { RunThread(); });
    ++idle_count_;  // Until it takes its first work.
    return true;
  } catch (const std::system_error&) {  // EAGAIN: the system has no more threads. Those that run will do.
    return false;
  }
}

void ThreadResolver::RunThread() {
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
    work.done(look_up_(work.request));
    work = Work();  // What `done` owns must not wait for the next request.
    MutexLock lock(mutex_);
    ++idle_count_;
  }
}

std::unique_ptr<Resolver> CreateThreadResolver(int thread_count, size_t max_waiting_count) {
  return std::make_unique<ThreadResolver>(thread_count, max_waiting_count, &LookUpName);
}

}  // namespace transportd
