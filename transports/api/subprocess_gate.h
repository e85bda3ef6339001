// What a program that lends its event loop to others lets them run.
#ifndef TRANSPORTD_TRANSPORTS_API_SUBPROCESS_GATE_H_
#define TRANSPORTD_TRANSPORTS_API_SUBPROCESS_GATE_H_

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "transports/api/confinement.h"

namespace transportd {

// Threading: MayRun is called on a blocking thread, one call at a time for each subprocess.
class SubprocessGate {
 public:
  virtual ~SubprocessGate() = default;

  // Asked once, when the program was searched and opened: what was allowed is what runs. `program` and `cwd` are
  // absolute, without symbolic links; `cwd` is this program's own when none was asked for. A script (`#!`) is asked
  // about as itself, not as its interpreter, and is opened again by its path: who may write its folder may still change
  // it. The answer: how it is confined; unset: as SubprocessOptions.confinement says. A refusal is what the caller of
  // the loop hears; it should be PERMISSION_DENIED. Of what cannot be opened the name is asked about, as far as it was
  // given: so a caller hears only of what it may run whether it is there.
  virtual absl::StatusOr<std::optional<Confinement>> MayRun(std::string_view program, std::string_view cwd) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_SUBPROCESS_GATE_H_
