// The reactor: epoll, timers, and a queue that other threads may post to. Knows file descriptors, not transports.
//
// One turn: wait for file descriptors or the next timer; call the ready watchers; run the due timers; run the
// callbacks that were queued when this step began; run the turn-end callbacks; destroy what was handed to
// DeferredDelete. The time of Time() is taken once a turn, after the wait.
//
// A turn can be lent: while the loop's thread sleeps, another thread that has something for the loop may run it itself,
// in a turn without the wait (CallNowThreadsafe), and spares the two a wake-up. One turn runs at a time, whosever it
// is; "the loop thread" is the one that runs it.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_REACTOR_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_REACTOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/base/clock.h"
#include "transports/base/mutex.h"
#include "transports/reactor/fd_poller.h"
#include "transports/reactor/reactor_stats.h"
#include "transports/reactor/sleeper.h"
#include "transports/reactor/task_queue.h"
#include "transports/reactor/timer_queue.h"

namespace transportd {

// What a watched file descriptor calls. Threading: loop thread only.
class FdHandler {
 public:
  virtual ~FdHandler() = default;
  // The descriptor is readable, or has hung up or failed, and reading is watched. At most once a turn.
  virtual void OnReadable() {}
  // The descriptor is writable, or has hung up or failed, and writing is watched. At most once a turn.
  virtual void OnWritable() {}
};

// Names one watch. Never used twice, so that an event of a closed descriptor cannot reach the next one's handler.
using WatchId = uint64_t;

// Threading: loop thread only, but for CallSoonThreadsafe, CallNowThreadsafe and Stop. The thread that calls RunForever
// is the loop thread while it runs, but for turns that it lends; before and between, any one thread may use the
// reactor.
class Reactor final {
 public:
  // `clock` must outlive the reactor. Fails with the kernel's error when epoll or eventfd cannot be had.
  static absl::StatusOr<std::unique_ptr<Reactor>> Create(Clock& clock = SystemClock());

  // Callbacks and timers that did not run are destroyed, what they own with them. Watches must be gone.
  ~Reactor();

  // As in EventLoop (transports/api/event_loop.h).
  void CallSoon(absl::AnyInvocable<void()> callback);
  void CallSoonThreadsafe(absl::AnyInvocable<void()> callback);
  // As CallSoonThreadsafe. But while the loop's thread sleeps in RunForever, `callback` is called in a turn of this
  // thread's, before this returns: for the loops of which no program expects that their callbacks come on one thread,
  // and for threads that can wait for as long as a turn takes. Any thread; it must hold no lock that a callback takes.
  void CallNowThreadsafe(absl::AnyInvocable<void()> callback);
  // The queue behind CallSoonThreadsafe, for a thread that may outlive the reactor: what it posts then is destroyed
  // uncalled. Any thread.
  std::shared_ptr<TaskQueue> task_queue() const { return task_queue_; }
  TimerId CallLater(Duration delay, absl::AnyInvocable<void()> callback);
  TimerId CallAt(TimePoint when, absl::AnyInvocable<void()> callback);
  bool CancelTimer(TimerId timer);
  TimePoint Time() const;
  void RunForever();
  void Stop();

  // One turn: waits for at most `longest_wait` (negative: for ever; 0: not at all). For tests and for loops inside
  // other loops; returns true when Stop was called.
  bool RunOnce(Duration longest_wait);

  // Once, at the end of this turn (of the next one, when called between turns); callbacks added meanwhile run in the
  // same turn. For work that should see all that the turn has done, such as sending what it has gathered.
  void AtTurnEnd(absl::AnyInvocable<void()> callback);

  // Destroyed at the end of this turn, with whatever is on the stack long gone.
  void DeferredDelete(std::shared_ptr<void> object);

  // Watches `fd` (non-blocking, owned by the caller) with `handler`, which must outlive the watch. Nothing is watched
  // until SetWatch.
  WatchId AddWatch(int fd, FdHandler& handler);
  // With neither, the descriptor leaves epoll: its hang-up or error is then not noticed either. When the kernel has no
  // memory for the watch, it is tried again until it has. CHECK-fails when epoll refuses `fd`: it is then closed, or
  // not one that can be watched, such as a regular file.
  void SetWatch(WatchId watch, bool readable, bool writable);
  // Ends the watch, before `fd` is closed. No call of the handler comes after it, not even in this turn.
  void RemoveWatch(WatchId watch);

  // From now on the loop's thread sleeps in `sleeper`, which must outlive its time here; null: in epoll, as at first.
  // Not for loops that lend turns.
  void SetSleeper(Sleeper* sleeper);
  // Readable while a watched descriptor is ready, or a callback or Stop of another thread wants the loop to wake.
  int pollable_fd() const { return poller_.epoll_fd(); }

  Clock& clock() { return clock_; }

  // CHECK-fails when another thread runs the reactor.
  void AssertInLoopThread() const;

  // What is alive, for tests and metrics.
  struct Counts {
    size_t watches = 0;
    size_t timers = 0;
    size_t callbacks = 0;  // Queued by CallSoon, CallSoonThreadsafe and AtTurnEnd.
  };
  Counts GetCounts() const;
  // Any thread.
  const ReactorStats& stats() const { return stats_; }

 private:
  using Callbacks = std::vector<absl::AnyInvocable<void()>>;

  Reactor(Clock& clock, std::shared_ptr<TaskQueue> task_queue, FdPoller poller);

  void Turn(std::optional<Duration> longest_wait);
  void LendTurns() ABSL_EXCLUSIVE_LOCKS_REQUIRED(turn_mutex_);
  // How long the turn may sleep; unset: for ever.
  std::optional<Duration> WaitTime(std::optional<Duration> longest_wait);
  // What a turn does after the descriptors and the timers.
  void FinishTurn();
  void RunCallbacks();
  void RunTurnEnd();
  void DeleteDeferred();
  // Whether the calling thread runs the reactor now.
  bool InTurnOfThisThread() const;

  Clock& clock_;
  const std::shared_ptr<TaskQueue> task_queue_;
  FdPoller poller_;
  Sleeper* sleeper_ = nullptr;
  TimerQueue timers_;

  Callbacks ready_;     // What CallSoon queued.
  Callbacks running_;   // The batch that is being run. Swapped with ready_, so that both keep their memory.
  Callbacks turn_end_;  // What AtTurnEnd queued.
  std::vector<std::shared_ptr<void>> deferred_;
  size_t running_left_count_ = 0;

  // Held for a turn, but for its wait. It guards all that is the loop thread's: what is lent.
  Mutex turn_mutex_;
  TimePoint wake_time_;  // When the wait of the loop's thread ends at the latest.
  TimePoint turn_time_;
  ReactorStats stats_;
  bool in_turn_ = false;
  bool closed_ = false;
  std::atomic<bool> stop_{false};
  std::atomic<bool> is_run_{false};
  std::atomic<std::thread::id> loop_thread_{};  // None while nobody runs it.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_REACTOR_H_
