// Where work goes that may block: asyncio's run_in_executor, without the loop.
#ifndef TRANSPORTD_TRANSPORTS_BASE_EXECUTOR_H_
#define TRANSPORTD_TRANSPORTS_BASE_EXECUTOR_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"

namespace transportd {

// Threading: any thread.
class Executor {
 public:
  virtual ~Executor() = default;

  // Called exactly once: with OK on a thread where it may block; or, on any thread, perhaps before Submit returns, with
  // why it must not run: RESOURCE_EXHAUSTED / EXECUTOR_BUSY, or CANCELLED / CANCELLED when the executor is ending.
  using Work = absl::AnyInvocable<void(absl::Status)>;
  virtual void Submit(Work work) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_EXECUTOR_H_
