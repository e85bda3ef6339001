#include "transports/reactor/reactor.h"

#include <algorithm>
#include <utility>

#include "transports/base/check.h"

namespace transportd {
namespace {

// What one callback leads to is mostly done in one or two turns; the lender has other things to do.
constexpr int kMaxLentTurnCount = 3;

}  // namespace

absl::StatusOr<std::unique_ptr<Reactor>> Reactor::Create(Clock& clock) {
  absl::StatusOr<std::shared_ptr<TaskQueue>> task_queue = TaskQueue::Create();
  if (!task_queue.ok()) return task_queue.status();
  absl::StatusOr<FdPoller> poller = FdPoller::Create((*task_queue)->wake_fd());
  if (!poller.ok()) return poller.status();
  return std::unique_ptr<Reactor>(new Reactor(clock, *std::move(task_queue), *std::move(poller)));
}

Reactor::Reactor(Clock& clock, std::shared_ptr<TaskQueue> task_queue, FdPoller poller)
    : clock_(clock), task_queue_(std::move(task_queue)), poller_(std::move(poller)) {}

Reactor::~Reactor() {
  AssertInLoopThread();
  CHECK(!in_turn_);
  // What callbacks own may use the reactor while it is destroyed: end watches, cancel timers, ask for callbacks, which
  // are then destroyed at once.
  closed_ = true;
  task_queue_->Close();
  for (Callbacks* callbacks : {&ready_, &turn_end_}) {
    Callbacks uncalled;
    uncalled.swap(*callbacks);
  }
  timers_.Clear();
  DeleteDeferred();
  CHECK(poller_.watch_count() == 0);
}

void Reactor::CallSoon(absl::AnyInvocable<void()> callback) {
  AssertInLoopThread();
  if (closed_) return;
  ready_.push_back(std::move(callback));
}

void Reactor::CallSoonThreadsafe(absl::AnyInvocable<void()> callback) {
  // On the loop's own thread the order with CallSoon is kept: what this thread posted before its first turn was taken
  // when the turn began.
  if (InTurnOfThisThread()) {
    CallSoon(std::move(callback));
  } else {
    task_queue_->Post(std::move(callback));
  }
}

void Reactor::CallNowThreadsafe(absl::AnyInvocable<void()> callback) {
  if (InTurnOfThisThread()) {
    CallSoon(std::move(callback));
    return;
  }
  if (!task_queue_->PostQuietly(std::move(callback))) return;
  if (turn_mutex_.TryLock()) {
    LendTurns();
    turn_mutex_.Unlock();
  } else {
    task_queue_->Signal();  // The loop's thread is between two turns: about to sleep, or about to wake.
  }
}

TimerId Reactor::CallLater(Duration delay, absl::AnyInvocable<void()> callback) {
  const TimePoint now = Time();
  const bool never = delay > TimePoint::max() - now;
  return CallAt(never ? TimePoint::max() : now + std::max(delay, Duration::zero()), std::move(callback));
}

TimerId Reactor::CallAt(TimePoint when, absl::AnyInvocable<void()> callback) {
  AssertInLoopThread();
  if (closed_) return 0;
  return timers_.Add(when, std::move(callback));
}

bool Reactor::CancelTimer(TimerId timer) {
  AssertInLoopThread();
  return timers_.Cancel(timer);
}

TimePoint Reactor::Time() const { return in_turn_ ? turn_time_ : clock_.Now(); }

void Reactor::RunForever() {
  while (!RunOnce(Duration(-1))) {
  }
}

void Reactor::Stop() {
  stop_.store(true);
  task_queue_->Wake();
}

bool Reactor::RunOnce(Duration longest_wait) {
  CHECK(!is_run_.exchange(true));  // One thread, and not from inside.
  loop_thread_.store(std::this_thread::get_id());
  Turn(longest_wait < Duration::zero() ? std::nullopt : std::optional<Duration>(longest_wait));
  loop_thread_.store(std::thread::id());
  is_run_.store(false);
  return stop_.exchange(false);
}

void Reactor::Turn(std::optional<Duration> longest_wait) {
  std::optional<Duration> wait;
  {
    MutexLock lock(turn_mutex_);
    wait = poller_.PrepareToWait(WaitTime(longest_wait));
    wake_time_ = wait.has_value() ? clock_.Now() + *wait : TimePoint::max();
  }
  if (sleeper_ == nullptr) {
    poller_.Wait(wait);
  } else if (sleeper_->Sleep(wait)) {
    poller_.Wait(Duration::zero());
  }
  MutexLock lock(turn_mutex_);
  task_queue_->TakeInto(ready_);  // From here on nobody needs to wake this thread.
  turn_time_ = clock_.Now();
  in_turn_ = true;
  if (sleeper_ != nullptr) sleeper_->Dispatch();
  poller_.Dispatch();
  timers_.RunDue(turn_time_);
  task_queue_->TakeInto(ready_);
  FinishTurn();
}

void Reactor::FinishTurn() {
  RunCallbacks();
  RunTurnEnd();
  DeleteDeferred();
  in_turn_ = false;
  const TimePoint now = clock_.Now();
  const auto took_ns = static_cast<uint64_t>(std::chrono::nanoseconds(now - turn_time_).count());
  stats_.turn_ns.Record(took_ns);
  stats_.longest_turn_ns.Record(now, took_ns);
}

void Reactor::LendTurns() {
  const std::thread::id sleeper = loop_thread_.exchange(std::this_thread::get_id());
  for (int count = 0; count < kMaxLentTurnCount; ++count) {
    task_queue_->TakeInto(ready_);
    turn_time_ = clock_.Now();
    in_turn_ = true;
    FinishTurn();
    if (ready_.empty()) break;
  }
  // The rest, and a timer that was added, are the sleeper's, which must then wake.
  const std::optional<Duration> wait = WaitTime(std::nullopt);
  if (wait.has_value() && clock_.Now() + *wait < wake_time_) task_queue_->Signal();
  loop_thread_.store(sleeper);
}

std::optional<Duration> Reactor::WaitTime(std::optional<Duration> longest_wait) {
  if (longest_wait == Duration::zero()) return Duration::zero();
  if (!ready_.empty() || !turn_end_.empty() || !deferred_.empty()) return Duration::zero();
  // In this order: a Stop that comes after the queue was asked finds a sleeper and wakes it.
  if (!task_queue_->PrepareToSleep() || stop_.load()) return Duration::zero();
  const std::optional<TimePoint> next_timer = timers_.NextTime();
  if (!next_timer.has_value()) return longest_wait;
  const Duration until_timer = std::max(*next_timer - clock_.Now(), Duration::zero());
  return longest_wait.has_value() ? std::min(*longest_wait, until_timer) : until_timer;
}

void Reactor::RunCallbacks() {
  running_.swap(ready_);
  running_left_count_ = running_.size();
  for (absl::AnyInvocable<void()>& slot : running_) {
    absl::AnyInvocable<void()> callback = std::move(slot);  // What it owns dies right after the call.
    --running_left_count_;
    callback();
  }
  running_.clear();
}

void Reactor::RunTurnEnd() {
  for (size_t i = 0; i < turn_end_.size(); ++i) {
    absl::AnyInvocable<void()> callback = std::move(turn_end_[i]);  // A callback may add others, and move the array.
    callback();
  }
  turn_end_.clear();
}

void Reactor::DeleteDeferred() {
  while (!deferred_.empty()) {
    std::vector<std::shared_ptr<void>> doomed;
    doomed.swap(deferred_);  // A destructor may hand over more.
  }
}

void Reactor::SetSleeper(Sleeper* sleeper) {
  AssertInLoopThread();
  sleeper_ = sleeper;
}

void Reactor::AtTurnEnd(absl::AnyInvocable<void()> callback) {
  AssertInLoopThread();
  if (closed_) return;
  turn_end_.push_back(std::move(callback));
}

void Reactor::DeferredDelete(std::shared_ptr<void> object) {
  AssertInLoopThread();
  deferred_.push_back(std::move(object));
}

WatchId Reactor::AddWatch(int fd, FdHandler& handler) {
  AssertInLoopThread();
  return poller_.Add(fd, handler);
}

void Reactor::SetWatch(WatchId watch, bool readable, bool writable) {
  AssertInLoopThread();
  poller_.Set(watch, readable, writable);
}

void Reactor::RemoveWatch(WatchId watch) {
  AssertInLoopThread();
  poller_.Remove(watch);
}

bool Reactor::InTurnOfThisThread() const {
  return loop_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void Reactor::AssertInLoopThread() const {
  const std::thread::id runner = loop_thread_.load(std::memory_order_relaxed);
  CHECK(runner == std::thread::id() || runner == std::this_thread::get_id());
}

Reactor::Counts Reactor::GetCounts() const {
  return Counts{.watches = poller_.watch_count(),
                .timers = timers_.size(),
                .callbacks = ready_.size() + running_left_count_ + turn_end_.size() + task_queue_->size()};
}

}  // namespace transportd
