// What is to be started: checked, and in the form in which it is carried out.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_PLAN_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_PLAN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "transports/api/subprocess.h"

namespace transportd {

struct SpawnPlan {
  std::string program;                  // As it was asked for: named in errors.
  std::vector<std::string> candidates;  // Paths to execute, in this order, until one can be.
  std::vector<std::string> arguments;   // argv, the program's name first.
  SubprocessOptions options;

  bool HasPty() const { return options.stdout_kind == Stdio::kPty; }
  // The child leads a process group, which can be ended as a whole.
  bool OwnsGroup() const { return options.start_new_session || HasPty() || options.process_group == 0; }
};

// `argv` is not empty. Errors: EventLoop.SubprocessExec in proto/transportd/v1/event_loop.proto, those before anything
// is started. Does not block.
absl::StatusOr<SpawnPlan> PlanSpawn(std::vector<std::string> argv, SubprocessOptions options);

// FAILED_PRECONDITION / CANNOT_CONFINE: a path that is not absolute, a limit of 0.
absl::Status ValidateConfinement(const Confinement& confinement);

// INVALID_ARGUMENT / INVALID_WINDOW_SIZE.
absl::Status ValidateWindowSize(const WindowSize& size);

// What `/bin/sh -c cmd` is as argv.
std::vector<std::string> ShellArguments(std::string cmd);

// Python's os.get_exec_path and its use: `program` itself when it names a folder; else in each folder of `path`, the
// environment's PATH; unset: /bin and /usr/bin.
std::vector<std::string> FindCandidates(const std::string& program, const std::string* path);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_PLAN_H_
