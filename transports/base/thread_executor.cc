#include "transports/base/thread_executor.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

absl::Status Stopping() { return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the executor is ending"); }
absl::Status CalledOff() { return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "nobody waits for it"); }

}  // namespace

ThreadExecutor::ThreadExecutor(int thread_count, size_t max_waiting_count)
    : max_thread_count_(static_cast<size_t>(thread_count)), max_waiting_count_(max_waiting_count) {
  CHECK(thread_count > 0);
}

ThreadExecutor::~ThreadExecutor() {
  std::vector<Piece> unstarted;
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (Turn& turn : ready_) unstarted.push_back(std::move(turn.piece));
    ready_.clear();
    for (auto& [name, queue] : queues_) {
      std::move(queue.waiting.begin(), queue.waiting.end(), std::back_inserter(unstarted));
      queue.waiting.clear();
    }
    threads.swap(threads_);
  }
  work_or_stop_.SignalAll();
  for (Piece& piece : unstarted) piece.work(Stopping());
  for (std::thread& thread : threads) thread.join();
}

void ThreadExecutor::SubmitFor(Asker asker, Work work) {
  Piece piece{.work = std::move(work), .called_off = std::move(asker.called_off)};
  std::deque<Piece> called_off;
  absl::Status status = Enqueue(std::move(asker.name), piece, called_off);
  for (Piece& other : called_off) other.work(CalledOff());
  if (!status.ok()) piece.work(std::move(status));
}

absl::Status ThreadExecutor::Enqueue(std::string name, Piece& piece, std::deque<Piece>& called_off) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return Stopping();
    if (const auto found = queues_.find(name); found != queues_.end()) {
      Queue& queue = found->second;
      if (queue.turn_count == MaxTurnCount(name)) {
        if (!HasRoom(queue.waiting, called_off)) {
          return MakeError(absl::StatusCode::kResourceExhausted, "EXECUTOR_BUSY",
                           StrCat(max_waiting_count_, " pieces of work wait for a thread; no more are taken"));
        }
        queue.waiting.push_back(std::move(piece));
        return absl::OkStatus();
      }
    }
    // Every idle thread is about to take one of those that are ready.
    if (ready_.size() >= idle_count_ && threads_.size() < max_thread_count_) StartThread();
    if (threads_.empty()) {
      return MakeError(absl::StatusCode::kResourceExhausted, "EXECUTOR_BUSY", "no thread can be started");
    }
    const auto queue = queues_.try_emplace(std::move(name)).first;
    ++queue->second.turn_count;
    ready_.push_back({.piece = std::move(piece), .queue = queue});
  }
  work_or_stop_.Signal();
  return absl::OkStatus();
}

bool ThreadExecutor::HasRoom(std::deque<Piece>& waiting, std::deque<Piece>& called_off) const {
  if (waiting.size() < max_waiting_count_) return true;
  const auto first = std::stable_partition(waiting.begin(), waiting.end(),
                                           [](const Piece& piece) { return !piece.called_off.stop_requested(); });
  std::move(first, waiting.end(), std::back_inserter(called_off));
  waiting.erase(first, waiting.end());
  return waiting.size() < max_waiting_count_;
}

size_t ThreadExecutor::MaxTurnCount(std::string_view name) const {
  return name.empty() ? max_thread_count_ : std::max<size_t>(1, max_thread_count_ / 2);
}

void ThreadExecutor::StartThread() {
  try {
    threads_.emplace_back([this] { RunThread(); });
    ++idle_count_;  // Until it takes its first work.
  } catch (const std::system_error&) {
    // EAGAIN: the system has no more threads. Those that run will do.
  }
}

void ThreadExecutor::RunThread() {
  ::pthread_setname_np(::pthread_self(), "executor");  // Else it has the name of whoever needed it first.
  while (true) {
    Turn turn;
    {
      MutexLock lock(mutex_);
      while (ready_.empty() && !stopping_) work_or_stop_.Wait(mutex_);
      if (stopping_) return;
      turn = std::move(ready_.front());
      ready_.pop_front();
      --idle_count_;
    }
    turn.piece.work(turn.piece.called_off.stop_requested() ? CalledOff() : absl::OkStatus());
    turn.piece = {};  // What it owns must not wait for the next one.
    MutexLock lock(mutex_);
    ++idle_count_;
    EndTurn(turn.queue);
  }
}

void ThreadExecutor::EndTurn(Queues::iterator queue) {
  std::deque<Piece>& waiting = queue->second.waiting;
  if (!waiting.empty()) {
    ready_.push_back({.piece = std::move(waiting.front()), .queue = queue});
    waiting.pop_front();
  } else if (--queue->second.turn_count == 0) {
    queues_.erase(queue);
  }
}

}  // namespace transportd
