// Starts a child process.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_CHILD_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_CHILD_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/confinement.h"
#include "transports/base/unique_fd.h"
#include "transports/subprocess/child_process.h"
#include "transports/subprocess/spawn_plan.h"

namespace transportd {

// What every child of a loop is started with.
struct SpawnSettings {
  std::string helper_path;              // Of transportd-spawn.
  int descriptor_limit = 0;             // For AdmitSocket.
  uint64_t child_descriptor_limit = 0;  // The child's soft RLIMIT_NOFILE; 0: this program's.
  bool kill_with_program = false;       // SIGKILL when the thread that started it ends, and so with this program.
};

// Our side of a child. It runs transportd-spawn, or already the program.
struct SpawnedChild {
  ChildProcess process;
  // The helper's answer: see spawn_request.h. Its end comes also when the process is killed. Non-blocking.
  UniqueFd status_fd;
  // Our ends of stdin, stdout and stderr, where they are pipes. Non-blocking.
  std::array<UniqueFd, 3> pipes;
  // The other side of the pseudo-terminal, when there is one. Non-blocking.
  UniqueFd pty;
  // How it is confined; unset: not at all.
  std::optional<Confinement> confinement;
};

// With a gate or a confinement opens the program and asks; looks for accounts, makes pipes and starts the helper.
// FAILED_PRECONDITION / SPAWN_HELPER_MISSING; those of AskGate; UNKNOWN_USER, UNKNOWN_GROUP; the kernel's error.
// Nothing is left behind then. Blocks for as long as that takes. Any thread.
absl::StatusOr<SpawnedChild> SpawnChild(const SpawnPlan& plan, const SpawnSettings& settings);

// What the helper of a child has said.
struct SpawnAnswer {
  std::string bytes;  // As far as they have come.
  // What of the confinement the kernel lacks, when the program runs.
  std::vector<ConfinementStep> not_confined;
};

// Takes what the helper of `child` has written into `answer`. Unset: there is more to come. OK: the program runs. Else
// why not: with the operation and the name that Python's exception has; FAILED_PRECONDITION / CANNOT_CONFINE; or
// INTERNAL / SPAWN_HELPER_FAILED.
std::optional<absl::Status> ReadSpawnAnswer(const SpawnedChild& child, const SpawnPlan& plan, SpawnAnswer& answer);

// transportd-spawn beside this program, in ../libexec/transportd or in ../bin; empty when it is in none of them.
std::string FindSpawnHelper();

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_CHILD_H_
