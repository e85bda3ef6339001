#include "transports/subprocess/kernel_confinement.h"

#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "transports/api/confinement.h"
#include "transports/subprocess/helper/seccomp_filter.h"

namespace transportd {
namespace {

bool HasSeccomp() {
  const uint32_t action = SECCOMP_RET_ERRNO;
  return kHasSeccompFilter && ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

bool HasPidfd() {
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (fd < 0) return false;
  ::close(fd);  // lint: allow close: no library of ours
  return true;
}

}  // namespace

uint32_t KernelConfinement::Lacking() const {
  const auto bit = [](bool lacks, ConfinementStep step) { return lacks ? 1u << static_cast<uint32_t>(step) : 0; };
  return bit(!no_new_privs, ConfinementStep::kNoNewPrivileges) |
         bit(landlock_abi < kLandlockFilesAbi, ConfinementStep::kFiles) |
         bit(landlock_abi < kLandlockScopeAbi, ConfinementStep::kSignals) |
         bit(!seccomp, ConfinementStep::kSystemCalls);
}

KernelConfinement ProbeConfinement() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return {.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0,
          .seccomp = HasSeccomp(),
          .no_new_privs = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0,
          .pidfd = HasPidfd(),
          // Of numbers that nothing has.
          .close_range = ::syscall(SYS_close_range, UINT_MAX, UINT_MAX, 0) == 0};
}

}  // namespace transportd
