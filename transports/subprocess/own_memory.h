// What programs that this one starts may see of it.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_OWN_MEMORY_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_OWN_MEMORY_H_

#include "absl/status/status.h"

namespace transportd {

// From now on no process without CAP_SYS_PTRACE may trace this one, nor read its memory, environment and descriptors in
// /proc, though it is the same user's; and it leaves no core file (prctl(2), PR_SET_DUMPABLE). Confined programs may
// not anyway; this is for those that are not. Once, early; programs that it starts are not affected. Any thread.
absl::Status HideOwnMemory();

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_OWN_MEMORY_H_
