#include "transports/subprocess/helper/confine.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "transports/api/confinement.h"
#include "transports/subprocess/helper/landlock.h"
#include "transports/subprocess/helper/seccomp_filter.h"
#include "transports/subprocess/kernel_confinement.h"

namespace transportd {
namespace {

constexpr const char* kAlwaysRead[] = {"/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache"};

constexpr uint32_t Bit(ConfinementStep step) { return 1u << static_cast<uint32_t>(step); }

constexpr uint32_t kOfLandlock = Bit(ConfinementStep::kFiles) | Bit(ConfinementStep::kSignals);

// The first of the paths that is a bad one; -1: none.
int32_t AddPaths(const ConfineRequest& request, LandlockRules& rules) {
  const SpawnConfinement& confinement = request.confinement;
  for (uint32_t i = 0; i < confinement.read_path_count; ++i) {
    if (!rules.AllowReadOfReal(request.read_paths[i])) return static_cast<int32_t>(i);
  }
  for (uint32_t i = 0; i < confinement.write_path_count; ++i) {
    if (!rules.AllowWriteOfReal(request.write_paths[i])) return static_cast<int32_t>(confinement.read_path_count + i);
  }
  return -1;
}

void AddFixedPaths(const ConfineRequest& request, LandlockRules& rules) {
  for (const char* const path : kAlwaysRead) rules.AllowRead(path);
  rules.AllowWrite("/dev/null");
  rules.AllowReadOf(kSpawnProgramFd);
  if (!request.has_terminal) return;
  rules.AllowWrite("/dev/tty");
  rules.AllowWriteOf(STDIN_FILENO);
}

// No capability, and by no_new_privs none ever: root is a user like others then (capabilities(7), execve(2)).
bool DropPrivileges() {
  __user_cap_header_struct header = {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::syscall(SYS_capset, &header, none) == 0;
}

// Lowers both, so that it cannot be raised again. `spare`: by how much the hard one is higher.
void SetLimit(__rlimit_resource resource, uint64_t value, uint64_t spare = 0) {
  rlimit limit = {};
  if (value == kSpawnNoLimit || ::getrlimit(resource, &limit) != 0) return;
  limit.rlim_max = std::min<rlim_t>(value + spare, limit.rlim_max);
  limit.rlim_cur = std::min<rlim_t>(value, limit.rlim_max);
  // Lowering always works.
  static_cast<void>(::setrlimit(resource, &limit));
}

void SetLimits(const SpawnConfinement& confinement) {
  SetLimit(RLIMIT_CORE, 0);
  SetLimit(RLIMIT_CPU, confinement.cpu_seconds, 1);
  SetLimit(RLIMIT_AS, confinement.address_space_bytes);
  SetLimit(RLIMIT_NOFILE, confinement.open_file_count);
  SetLimit(RLIMIT_FSIZE, confinement.file_bytes);
}

}  // namespace

ConfineResult Confine(const ConfineRequest& request) {
  const KernelConfinement kernel = ProbeConfinement();
  ConfineResult result{.lacking = kernel.Lacking()};
  if (request.confinement.required != 0 && result.lacking != 0) return result;
  const bool without_network = request.confinement.without_network != 0;
  if (!DropPrivileges()) result.lacking |= Bit(ConfinementStep::kNoNewPrivileges);
  if (kernel.landlock_abi > 0) {
    LandlockRules rules(kernel.landlock_abi, without_network);
    result.bad_path = AddPaths(request, rules);
    if (result.bad_path >= 0) return result;
    AddFixedPaths(request, rules);
    if (!rules.Enforce()) result.lacking |= kOfLandlock;
  }
  SetLimits(request.confinement);
  // Last: from here on this process is kept from them, too.
  if (!InstallSeccompFilter({.without_network = without_network, .has_terminal = request.has_terminal})) {
    result.lacking |= Bit(ConfinementStep::kSystemCalls);
  }
  return result;
}

}  // namespace transportd
