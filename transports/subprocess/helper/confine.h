// Keeps this process, and what it becomes, from what its Confinement does not allow.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_CONFINE_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_CONFINE_H_

#include <cstdint>

#include "transports/subprocess/spawn_request.h"

namespace transportd {

struct ConfineRequest {
  SpawnConfinement confinement;
  char** read_paths = nullptr;  // As many as `confinement` says.
  char** write_paths = nullptr;
  bool has_terminal = false;  // Descriptor 0.
};

struct ConfineResult {
  uint32_t lacking = 0;   // 1 << ConfinementStep for each that could not be done.
  int32_t bad_path = -1;  // Not -1: nothing was done, because of this one of the paths to read and then to write.
};

// The program is kSpawnProgramFd. When the confinement is required and something is lacking, this process is good for
// nothing but saying so.
ConfineResult Confine(const ConfineRequest& request);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_CONFINE_H_
