// transportd-spawn: becomes another program, as it is told; `transportd-spawn --probe` says what the kernel has to
// confine one with.
//
// A threaded program must not fork, and posix_spawn(3) knows neither users nor sessions nor terminals: so it starts
// this one, which has a single thread and nothing to lose. No library of ours, no memory allocation; linked statically,
// so that nothing is looked for at start.
#include <fcntl.h>
#include <grp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "transports/subprocess/helper/confine.h"
#include "transports/subprocess/kernel_confinement.h"
#include "transports/subprocess/spawn_request.h"

namespace transportd {
namespace {

constexpr int kExitNotExecuted = 127;

void Tell(const SpawnRecord& record) {
  // Fails when nobody waits any more.
  static_cast<void>(!::write(kSpawnStatusFd, &record, sizeof(record)));
}

[[noreturn]] void Fail(SpawnStep step, int error_number, uint32_t detail = 0) {
  Tell({.step = step, .error_number = error_number, .detail = detail});
  ::_exit(kExitNotExecuted);
}

void Require(bool done, SpawnStep step) {
  const int err = errno;
  if (!done) Fail(step, err);
}

// The request's strings, one after the other.
class Strings {
 public:
  Strings(char* begin, char* end) : next_(begin), end_(end) {}

  char* Next() {
    char* const begin = next_;
    char* const zero =
        begin < end_ ? static_cast<char*>(std::memchr(begin, 0, static_cast<size_t>(end_ - begin))) : nullptr;
    if (zero == nullptr) Fail(SpawnStep::kRequest, EINVAL);
    next_ = zero + 1;
    return begin;
  }

 private:
  char* next_;
  char* const end_;
};

// In memory of its own, which the program that comes after takes away.
template <typename T>
T* Allocate(size_t count) {
  void* const memory = ::mmap(nullptr, std::max(count, size_t{1}) * sizeof(T), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Require(memory != MAP_FAILED, SpawnStep::kRequest);
  return static_cast<T*>(memory);
}

char** TakeList(Strings& strings, size_t count) {
  char** const list = Allocate<char*>(count + 1);
  for (size_t i = 0; i < count; ++i) list[i] = strings.Next();
  return list;
}

char* MapRequest(size_t& size_bytes) {
  struct stat status = {};
  Require(::fstat(kSpawnRequestFd, &status) == 0, SpawnStep::kRequest);
  size_bytes = static_cast<size_t>(status.st_size);
  if (size_bytes < sizeof(SpawnHeader)) Fail(SpawnStep::kRequest, EINVAL);
  void* const memory = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, kSpawnRequestFd, 0);
  Require(memory != MAP_FAILED, SpawnStep::kRequest);
  return static_cast<char*>(memory);
}

// What posix_spawn(3) leaves: it makes the C library's own two signals ignored ones, which execve(2) keeps.
void ResetSignals() {
  struct {
    void (*handler)(int) = SIG_DFL;
    unsigned long flags = 0;
    void* restorer = nullptr;
    uint64_t mask = 0;
  } action;  // The kernel's own, since sigaction(3) hides those two.
  for (int signal_number = 1; signal_number <= SIGRTMAX; ++signal_number) {
    // Fails for SIGKILL and SIGSTOP, which are always at their defaults.
    static_cast<void>(::syscall(SYS_rt_sigaction, signal_number, &action, nullptr, sizeof(action.mask)));
  }
}

void SetSignals(const SpawnHeader& header) {
  ResetSignals();
  if (header.ignores_sigpipe == 0) return;
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
}

void SetSession(const SpawnHeader& header) {
  if (header.new_session != 0) Require(::setsid() >= 0, SpawnStep::kSession);
  if (header.has_terminal != 0) Require(::ioctl(STDIN_FILENO, TIOCSCTTY, 0) == 0, SpawnStep::kTerminal);
  if (header.has_process_group != 0) Require(::setpgid(0, header.process_group) == 0, SpawnStep::kProcessGroup);
}

void SetAccount(const SpawnHeader& header, const gid_t* groups) {
  if (header.has_groups != 0) Require(::setgroups(header.group_count, groups) == 0, SpawnStep::kGroups);
  if (header.gid != kSpawnUnset) Require(::setregid(header.gid, header.gid) == 0, SpawnStep::kGid);
  if (header.uid != kSpawnUnset) Require(::setreuid(header.uid, header.uid) == 0, SpawnStep::kUid);
}

void SetParent(const SpawnHeader& header) {
  if (header.parent_pid == 0) return;
  // A change of user undoes it, so it comes after.
  Require(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, SpawnStep::kParent);
  if (::getppid() != static_cast<pid_t>(header.parent_pid)) Fail(SpawnStep::kParent, ESRCH);
}

void SetLimits(const SpawnHeader& header) {
  if (header.descriptor_limit == 0) return;
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(header.descriptor_limit, limit.rlim_max);
  // Lowering the soft limit always works.
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

void SetConfinement(const ConfineRequest& request) {
  const ConfineResult result = Confine(request);
  if (result.bad_path >= 0) Fail(SpawnStep::kPath, ELOOP, static_cast<uint32_t>(result.bad_path));
  if (result.lacking == 0) return;
  if (request.confinement.required != 0) Fail(SpawnStep::kCannotConfine, 0, result.lacking);
  Tell({.step = SpawnStep::kNotConfined, .error_number = 0, .detail = result.lacking});
}

// The program that was opened. A script cannot be read again through a descriptor that is closed by then (execveat(2),
// BUGS): it is executed by its path, if that still leads to it.
[[noreturn]] void ExecuteOpened(const char* path, char** arguments, char** environment) {
  ::syscall(SYS_execveat, kSpawnProgramFd, "", arguments, environment, AT_EMPTY_PATH);
  Require(errno == ENOENT, SpawnStep::kExecute);
  struct stat opened = {};
  struct stat named = {};
  Require(::fstat(kSpawnProgramFd, &opened) == 0 && ::lstat(path, &named) == 0, SpawnStep::kExecute);
  if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino) Fail(SpawnStep::kExecute, ENOENT);
  ::execve(path, arguments, environment);
  Fail(SpawnStep::kExecute, errno);
}

[[noreturn]] void Execute(char** candidates, char** arguments, char** environment) {
  int first_error = 0;
  int last_error = ENOENT;
  for (char** candidate = candidates; *candidate != nullptr; ++candidate) {
    ::execve(*candidate, arguments, environment);
    last_error = errno;
    if (last_error != ENOENT && last_error != ENOTDIR && first_error == 0) first_error = last_error;
  }
  Fail(SpawnStep::kExecute, first_error != 0 ? first_error : last_error);
}

[[noreturn]] void Run() {
  static_cast<void>(!::write(kSpawnStatusFd, &kSpawnVersion, sizeof(kSpawnVersion)));
  size_t size_bytes = 0;
  char* const request = MapRequest(size_bytes);
  SpawnHeader header;
  std::memcpy(&header, request, sizeof(header));
  const size_t groups_bytes = size_t{header.group_count} * sizeof(gid_t);
  if (header.version != kSpawnVersion || header.size_bytes != size_bytes ||
      size_bytes - sizeof(header) < groups_bytes) {
    Fail(SpawnStep::kRequest, EPROTO);
  }
  gid_t* const groups = Allocate<gid_t>(header.group_count);
  std::memcpy(groups, request + sizeof(header), groups_bytes);
  Strings strings(request + sizeof(header) + groups_bytes, request + size_bytes);
  const char* const directory = header.has_directory != 0 ? strings.Next() : nullptr;
  char** const candidates = TakeList(strings, header.candidate_count);
  char** const arguments = TakeList(strings, header.argument_count);
  char** const environment = header.has_environment != 0 ? TakeList(strings, header.environment_count) : ::environ;
  const SpawnConfinement& confinement = header.confinement;
  const ConfineRequest confine{.confinement = confinement,
                               .read_paths = TakeList(strings, confinement.read_path_count),
                               .write_paths = TakeList(strings, confinement.write_path_count),
                               .has_terminal = header.has_terminal != 0};

  // Whatever the program that started this one forgot to close.
  const bool has_program_fd = header.has_program_fd != 0;
  const int last_fd = has_program_fd ? kSpawnDirectoryFd : kSpawnStatusFd;
  Require(::close_range(kSpawnRequestFd, kSpawnRequestFd, 0) == 0, SpawnStep::kDescriptors);
  Require(::close_range(static_cast<unsigned>(last_fd) + 1, UINT_MAX, 0) == 0, SpawnStep::kDescriptors);
  for (int fd = kSpawnStatusFd; fd <= last_fd; ++fd) {
    Require(::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0, SpawnStep::kDescriptors);
  }

  if (has_program_fd) {
    Require(::fchdir(kSpawnDirectoryFd) == 0, SpawnStep::kDirectory);
  } else if (directory != nullptr) {
    Require(::chdir(directory) == 0, SpawnStep::kDirectory);
  }
  if (header.umask != kSpawnUnset) ::umask(header.umask);
  SetSignals(header);
  SetSession(header);
  SetAccount(header, groups);
  SetParent(header);
  SetLimits(header);
  if (confinement.enabled != 0) SetConfinement(confine);
  if (has_program_fd) ExecuteOpened(candidates[0], arguments, environment);
  Execute(candidates, arguments, environment);
}

// One line for each, in the order of kernel_confinement.h; `needs_abi` 0: nothing of Landlock.
void PrintLine(const char* name, bool has, int needs_abi = 0) {
  char line[80];
  const char* const answer = has ? "yes" : "no";
  const int size = needs_abi > 0 ? std::snprintf(line, sizeof(line), "%s: %s (ABI %d)\n", name, answer, needs_abi)
                                 : std::snprintf(line, sizeof(line), "%s: %s\n", name, answer);
  static_cast<void>(!::write(STDOUT_FILENO, line, static_cast<size_t>(size)));
}

constexpr std::string_view kUsage = R"(transportd-spawn: becomes another program, as transportd tells it

Usage: transportd-spawn --probe
       transportd-spawn --help

transportd starts it for each subprocess: it sets up user, session, terminal and confinement, and then becomes
the program. By hand it is of use for one thing:

Flags
  --probe
      Says, a line for each, what the kernel has to confine a program with: Landlock, seccomp, pidfd,
      close_range; the last line says whether that is all that confinement needs.
  --help
      This text.

Exit status
  0    --probe, --help
  127  the program was not started; transportd knows why
)";

void Print(std::string_view text) { static_cast<void>(!::write(STDOUT_FILENO, text.data(), text.size())); }

void PrintProbe() {
  const KernelConfinement kernel = ProbeConfinement();
  const int abi = kernel.landlock_abi;
  PrintLine("landlock", abi > 0, abi);
  PrintLine("landlock files", abi >= kLandlockFilesAbi, kLandlockFilesAbi);
  PrintLine("landlock tcp", abi >= kLandlockTcpAbi, kLandlockTcpAbi);
  PrintLine("landlock signals", abi >= kLandlockScopeAbi, kLandlockScopeAbi);
  PrintLine("seccomp", kernel.seccomp);
  PrintLine("no_new_privs", kernel.no_new_privs);
  PrintLine("pidfd", kernel.pidfd);
  PrintLine("close_range", kernel.close_range);
  PrintLine("all that confinement needs", kernel.Lacking() == 0);
}

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--probe") == 0) {
    transportd::PrintProbe();
    return 0;
  }
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    transportd::Print(transportd::kUsage);
    return 0;
  }
  transportd::Run();
}
