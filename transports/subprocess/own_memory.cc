#include "transports/subprocess/own_memory.h"

#include <sys/prctl.h>

#include <cerrno>

#include "transports/api/error.h"

namespace transportd {

absl::Status HideOwnMemory() {
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "prctl", "PR_SET_DUMPABLE");
}

}  // namespace transportd
