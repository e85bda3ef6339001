// subprocess_exec and subprocess_shell: start the process, make the transport.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_SUBPROCESS_EXEC_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_SUBPROCESS_EXEC_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/subprocess.h"
#include "transports/base/operation.h"
#include "transports/reactor/loop_executor.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"
#include "transports/subprocess/local_subprocess.h"
#include "transports/subprocess/spawn_child.h"
#include "transports/subprocess/spawn_plan.h"

namespace transportd {

// Starts the helper on the executor, waits on the loop for its word that the program runs, and then makes protocol
// and transport. A process that is not to live, because it could not execute the program or was cancelled, is reaped
// before `done`. shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class SubprocessExecOperation final : public Operation,
                                      public std::enable_shared_from_this<SubprocessExecOperation>,
                                      private FdHandler {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Subprocess>)>;

  // The first three must outlive this. `argv`: not empty.
  SubprocessExecOperation(LoopContext& context, LoopExecutor& executor, const SpawnSettings& settings,
                          SubprocessProtocolFactory factory, std::vector<std::string> argv, SubprocessOptions options,
                          Done done);
  // A process that was started is killed and reaped, now or by the executor.
  ~SubprocessExecOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  // What the watched descriptor is.
  enum class Waiting { kNothing, kForStatus, kForExit };

  // FdHandler
  void OnReadable() override;

  void OnSpawned(absl::StatusOr<SpawnedChild> child);
  void Watch(Waiting what, int fd);
  void StopWatching();
  void OnStatus();
  void OnStarted();
  // Ends the process, if it has not ended, and then this: `status` is not OK.
  void FailAfterExit(absl::Status status);
  void Fail(absl::Status status);
  void Deliver();

  LoopContext& context_;
  LoopExecutor& executor_;
  const SpawnSettings& settings_;
  SubprocessProtocolFactory factory_;
  std::vector<std::string> argv_;
  SubprocessOptions options_;
  Done done_;

  // shared_ptr: owned by this and by the work, which starts nothing when it finds it true.
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  // shared_ptr: owned by this and by the work.
  std::shared_ptr<const SpawnPlan> plan_;
  LoopExecutor::WorkId work_ = 0;
  SpawnedChild child_;
  SpawnAnswer answer_;
  Waiting waiting_ = Waiting::kNothing;
  WatchId watch_ = 0;
  std::shared_ptr<LocalSubprocess> transport_;
  // Set at the end; Deliver is then queued, or comes when the process is reaped or the transport lost.
  std::optional<absl::StatusOr<Subprocess>> result_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_SUBPROCESS_EXEC_H_
