// What a program that is not trusted may do.
#ifndef TRANSPORTD_TRANSPORTS_API_CONFINEMENT_H_
#define TRANSPORTD_TRANSPORTS_API_CONFINEMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transports/api/time.h"

namespace transportd {

// How a subprocess, and all that it starts, is kept from the rest. By the kernel, for good, without any privilege:
// Landlock (https://docs.kernel.org/userspace-api/landlock.html), seccomp(2), setrlimit(2), no_new_privs.
//
// Besides what is said below, it
// - leads a session of its own that it cannot leave (setsid(2) is EPERM; without a terminal setpgid(2) is, too), and
// all
//   of it is killed when its transport has lost its connection;
// - has nothing of this program: no descriptor (Stdio::kInherit is Stdio::kNull), no variable (without `env` it has
// none),
//   no core files, and umask 077 unless another is asked for;
// - cannot send signals to, trace, read the memory of, or set limits and priorities of a process outside; nor of one of
//   its threads from another: scheduling calls with a number that is not 0 are EPERM;
// - has no capability, also as root, and gains none by set-user-ID programs; makes and joins no namespaces(7);
// - cannot use the kernel's keyrings, System V IPC, POSIX message queues (all EPERM), io_uring or clone3(2) (ENOSYS),
// or
//   make system calls of another architecture, for which it is killed (SIGSYS).
//
// Not prevented: to see that other processes exist; to look at and to change modes, owners, times and extended
// attributes of files by name, as its user may (no kernel has that in Landlock); to use up what is not limited.
struct Confinement {
  enum class Network {
    kNone,  // socketpair(2) of Unix streams and packets. Other pairs, socket(2) and connect(2) are EACCES.
    kHost,  // All that this program may.
  };
  // When the kernel lacks something of it.
  enum class Level {
    kRequired,    // The start fails: FAILED_PRECONDITION / CANNOT_CONFINE, which says what is lacking.
    kBestEffort,  // It is done without; Subprocess.not_confined says so.
  };
  // Unset: as this program's own.
  struct Limits {
    std::optional<Duration> wall_time = {};            // From its start to SIGKILL.
    std::optional<uint64_t> cpu_seconds = {};          // Of each process; SIGXCPU, a second later SIGKILL.
    std::optional<uint64_t> address_space_bytes = {};  // Of each process.
    std::optional<uint64_t> open_file_count = {};      // Of each process.
    std::optional<uint64_t> file_bytes = {};           // The largest file it may write; SIGXFSZ.
  };

  Network network = Network::kNone;
  // Files, or folders with all below. Absolute, without symbolic links; what is not there allows nothing. Always
  // allowed are the program itself, /usr, /lib, /lib64, /bin, /etc/ld.so.cache, /dev/null and its own terminal.
  std::vector<std::string> read_paths = {};   // To read and to execute.
  std::vector<std::string> write_paths = {};  // Besides, to write, make, rename and remove.
  Level level = Level::kRequired;
  Limits limits = {};
};

// What a kernel can lack.
enum class ConfinementStep : uint8_t {
  kNoNewPrivileges,  // PR_SET_NO_NEW_PRIVS; no capabilities.
  kFiles,            // Landlock, ABI 3 (Linux 6.2); with an older one truncate(2) is not kept from files outside.
  kSignals,          // Landlock, ABI 6 (Linux 6.12)
  kSystemCalls,      // seccomp(2): the network, tracing, priorities, leaving the session, namespaces, IPC.
};
inline constexpr ConfinementStep kConfinementSteps[] = {ConfinementStep::kNoNewPrivileges, ConfinementStep::kFiles,
                                                        ConfinementStep::kSignals, ConfinementStep::kSystemCalls};

// "no_new_privs", "files (Landlock ABI 3)", …: for errors and audit records.
std::string_view ConfinementStepName(ConfinementStep step);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_CONFINEMENT_H_
