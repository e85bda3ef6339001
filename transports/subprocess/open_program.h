// The program of a start, opened: what is asked about, and confined, is what runs.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_OPEN_PROGRAM_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_OPEN_PROGRAM_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "transports/api/confinement.h"
#include "transports/base/unique_fd.h"
#include "transports/subprocess/spawn_plan.h"

namespace transportd {

// The paths are absolute, without symbolic links: those of what the descriptors (O_PATH) are.
struct OpenedProgram {
  UniqueFd program;
  UniqueFd directory;
  std::string program_path;
  std::string directory_path;
};

// The folder, and in it the first candidate that can be executed; the errors are those of chdir(2) and execve(2), as
// transportd-spawn tells them. Blocks as long as the file system does. Any thread.
absl::StatusOr<OpenedProgram> OpenProgram(const SpawnPlan& plan, int descriptor_limit);

// Asks the plan's gate, if there is one, about it, or about why it could not be opened; takes its confinement, or the
// plan's own. The gate's refusal; what OpenProgram failed with; FAILED_PRECONDITION / CANNOT_CONFINE when the
// confinement is none; INVALID_PROCESS_GROUP.
absl::StatusOr<std::optional<Confinement>> AskGate(const SpawnPlan& plan, const absl::StatusOr<OpenedProgram>& opened);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_OPEN_PROGRAM_H_
