// What transportd-spawn is told, and what it answers. Plain C++: the helper links no library of ours.
//
// The request is a file, descriptor kSpawnRequestFd of the helper: a SpawnHeader, `group_count` group numbers, then
// strings, each with a byte 0 at its end: the directory (when there is one), the candidates, the arguments, the
// environment (when there is one), the paths that may be read, those that may be written. Descriptors 0, 1 and 2 are
// the child's own already; when the program was opened before, it is kSpawnProgramFd, and its directory
// kSpawnDirectoryFd.
//
// The answer comes through the pipe kSpawnStatusFd: kSpawnVersion first; then perhaps a SpawnRecord of kNotConfined;
// then its end, when the program runs, or another SpawnRecord.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_REQUEST_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_REQUEST_H_

#include <cstdint>

namespace transportd {

inline constexpr int kSpawnRequestFd = 3;
inline constexpr int kSpawnStatusFd = 4;
inline constexpr int kSpawnProgramFd = 5;
inline constexpr int kSpawnDirectoryFd = 6;

// Changes with every change of what follows: a helper of another version refuses.
inline constexpr uint32_t kSpawnVersion = 0x74730002;

// For numbers that are not given.
inline constexpr uint32_t kSpawnUnset = UINT32_MAX;
inline constexpr uint64_t kSpawnNoLimit = UINT64_MAX;

// Confinement in transports/api/confinement.h says what each means.
struct SpawnConfinement {
  uint32_t enabled = 0;  // 0: the rest means nothing.
  uint32_t required = 0;
  uint32_t without_network = 0;
  uint32_t read_path_count = 0;
  uint32_t write_path_count = 0;
  uint32_t reserved = 0;
  uint64_t cpu_seconds = kSpawnNoLimit;
  uint64_t address_space_bytes = kSpawnNoLimit;
  uint64_t open_file_count = kSpawnNoLimit;
  uint64_t file_bytes = kSpawnNoLimit;
};

struct SpawnHeader {
  uint32_t version = kSpawnVersion;
  uint32_t size_bytes = 0;  // Of the whole request.
  uint32_t has_directory = 0;
  uint32_t has_environment = 0;  // 0: the helper's own.
  uint32_t candidate_count = 0;  // What to execute: the first that can be.
  uint32_t argument_count = 0;
  uint32_t environment_count = 0;

  uint32_t umask = kSpawnUnset;
  uint32_t ignores_sigpipe = 0;  // And SIGXFSZ: what Python's restore_signals=False leaves.
  uint32_t new_session = 0;
  uint32_t has_terminal = 0;  // Descriptor 0 becomes the controlling terminal.
  uint32_t has_process_group = 0;
  int32_t process_group = 0;  // 0: a new one.
  uint32_t has_groups = 0;
  uint32_t group_count = 0;
  uint32_t gid = kSpawnUnset;
  uint32_t uid = kSpawnUnset;
  uint32_t parent_pid = 0;        // Not 0: SIGKILL when this process ends.
  uint32_t has_program_fd = 0;    // 1: kSpawnProgramFd is what to execute; the only candidate is its path.
  uint64_t descriptor_limit = 0;  // Not 0: the soft RLIMIT_NOFILE, at most the hard one.
  SpawnConfinement confinement;
};

// In the order in which they are done, which is that of Python's _posixsubprocess.
enum class SpawnStep : uint32_t {
  kRequest = 1,  // The request cannot be read, or is of another version.
  kDescriptors,  // close_range
  kDirectory,
  kSession,
  kTerminal,
  kProcessGroup,
  kGroups,
  kGid,
  kUid,
  kParent,
  kPath,           // A path of the confinement, the `detail`th, is one that it cannot be.
  kCannotConfine,  // `detail`: what the kernel lacks, 1 << ConfinementStep each.
  kNotConfined,    // The same, and it goes on.
  kExecute,
};

struct SpawnRecord {
  SpawnStep step = SpawnStep::kRequest;
  int32_t error_number = 0;
  uint32_t detail = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_SPAWN_REQUEST_H_
