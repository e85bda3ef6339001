// Blocking work whose result comes on the loop's thread: asyncio's run_in_executor.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_LOOP_EXECUTOR_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_LOOP_EXECUTOR_H_

#include <cstddef>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/base/executor.h"
#include "transports/reactor/pending_calls.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// Threading: loop thread only.
class LoopExecutor final {
 public:
  // 0 names nothing.
  using WorkId = PendingCalls::CallId;

  // Both must outlive this. The `done` of work under way is destroyed with it, uncalled.
  LoopExecutor(Reactor& reactor, Executor& executor) : executor_(executor), calls_(reactor) {}

  // Calls `work` where it may block, then `done` with its result on the loop's thread, in a later turn. Result can be
  // made of an absl::Status: when the executor refuses, that is the result. `work` may run, and is destroyed, on
  // another thread even when this is gone: it owns what it needs.
  template <typename Result>
  WorkId Run(absl::AnyInvocable<Result()> work, absl::AnyInvocable<void(Result)> done) {
    auto call = calls_.Add<Result>(std::move(done));
    executor_.Submit([work = std::move(work), answer = std::move(call.answer)](absl::Status status) mutable {
      answer(status.ok() ? work() : Result(std::move(status)));
    });
    return call.id;
  }

  // Destroys `done` uncalled; the work itself goes on, and its result is destroyed. Nothing for an unknown id.
  void Cancel(WorkId id) { calls_.Cancel(id); }

  size_t waiting_count() const { return calls_.waiting_count(); }

 private:
  Executor& executor_;
  PendingCalls calls_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_LOOP_EXECUTOR_H_
