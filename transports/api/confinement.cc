#include "transports/api/confinement.h"

namespace transportd {

std::string_view ConfinementStepName(ConfinementStep step) {
  switch (step) {
    case ConfinementStep::kNoNewPrivileges:
      return "no_new_privs";
    case ConfinementStep::kFiles:
      return "files (Landlock ABI 3)";
    case ConfinementStep::kSignals:
      return "signals (Landlock ABI 6)";
    case ConfinementStep::kSystemCalls:
      return "system calls (seccomp)";
  }
  return "";
}

}  // namespace transportd
