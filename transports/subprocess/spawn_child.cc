#include "transports/subprocess/spawn_child.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"
#include "transports/subprocess/accounts.h"
#include "transports/subprocess/spawn_request.h"

namespace transportd {
namespace {

constexpr char kHelperName[] = "transportd-spawn";

absl::Status Errno(std::string_view operation, std::string_view address = "") {
  const int err = errno;
  return ErrnoToStatus(err, operation, address);
}

void AppendString(std::string_view text, std::string& request) {
  request.append(text);
  request.push_back('\0');
}

template <typename T>
void AppendNumber(const T& number, std::string& request) {
  request.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

// The numbers of the accounts, in `header` and after it.
absl::Status AppendAccounts(const SubprocessOptions& options, SpawnHeader& header, std::string& request) {
  if (options.user) {
    const absl::StatusOr<uint32_t> uid = FindUser(*options.user);
    if (!uid.ok()) return uid.status();
    header.uid = *uid;
  }
  if (options.group) {
    const absl::StatusOr<uint32_t> gid = FindGroup(*options.group);
    if (!gid.ok()) return gid.status();
    header.gid = *gid;
  }
  if (!options.extra_groups) return absl::OkStatus();
  header.has_groups = 1;
  header.group_count = static_cast<uint32_t>(options.extra_groups->size());
  for (const AccountId& account : *options.extra_groups) {
    const absl::StatusOr<uint32_t> gid = FindGroup(account);
    if (!gid.ok()) return gid.status();
    AppendNumber(*gid, request);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> EncodeRequest(const SpawnPlan& plan, const SpawnSettings& settings) {
  const SubprocessOptions& options = plan.options;
  SpawnHeader header;
  std::string request(sizeof(header), '\0');
  if (absl::Status status = AppendAccounts(options, header, request); !status.ok()) return status;
  header.has_directory = options.cwd.has_value();
  if (options.cwd) AppendString(*options.cwd, request);
  header.candidate_count = static_cast<uint32_t>(plan.candidates.size());
  for (const std::string& candidate : plan.candidates) AppendString(candidate, request);
  header.argument_count = static_cast<uint32_t>(plan.arguments.size());
  for (const std::string& argument : plan.arguments) AppendString(argument, request);
  header.has_environment = options.env.has_value();
  if (options.env) {
    header.environment_count = static_cast<uint32_t>(options.env->size());
    for (const auto& [name, value] : *options.env) AppendString(StrCat(name, "=", value), request);
  }
  header.umask = options.umask.value_or(kSpawnUnset);
  header.ignores_sigpipe = !options.restore_signals;
  header.new_session = options.start_new_session || plan.HasPty();
  header.has_terminal = plan.HasPty();
  header.has_process_group = options.process_group.has_value();
  header.process_group = options.process_group.value_or(0);
  header.parent_pid = settings.kill_with_program ? static_cast<uint32_t>(::getpid()) : 0;
  header.descriptor_limit = settings.child_descriptor_limit;
  header.size_bytes = static_cast<uint32_t>(request.size());
  request.replace(0, sizeof(header), reinterpret_cast<const char*>(&header), sizeof(header));
  return request;
}

absl::StatusOr<UniqueFd> WriteRequest(const std::string& request, int descriptor_limit) {
  UniqueFd fd = AdmitSocket(::memfd_create(kHelperName, MFD_CLOEXEC), descriptor_limit);
  if (!fd.valid()) return Errno("memfd_create");
  size_t written_bytes = 0;
  while (written_bytes < request.size()) {
    const ssize_t size = ::write(fd.get(), request.data() + written_bytes, request.size() - written_bytes);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Errno("write");
    written_bytes += static_cast<size_t>(size);
  }
  return fd;
}

absl::Status SetNonBlocking(const UniqueFd& fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  return flags >= 0 && ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) == 0 ? absl::OkStatus() : Errno("fcntl");
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

absl::StatusOr<Pipe> MakePipe(int descriptor_limit) {
  int fds[2] = {-1, -1};
  if (::pipe2(fds, O_CLOEXEC) != 0) return Errno("pipe2");
  Pipe pipe{.read_end = UniqueFd(fds[0]), .write_end = UniqueFd(fds[1])};
  if (std::max(fds[0], fds[1]) < descriptor_limit) return pipe;
  errno = EMFILE;
  return Errno("pipe2");
}

// The descriptors of a child under construction.
class ChildFds {
 public:
  ChildFds(const SpawnPlan& plan, int descriptor_limit) : plan_(plan), descriptor_limit_(descriptor_limit) {}

  absl::Status Make(SpawnedChild& child) {
    const SubprocessOptions& options = plan_.options;
    if (plan_.HasPty()) {
      if (absl::Status status = MakePty(child); !status.ok()) return status;
    }
    const Stdio kinds[] = {options.stdin_kind, options.stdout_kind, options.stderr_kind};
    for (size_t i = 0; i < 3; ++i) {
      if (absl::Status status = MakeStream(i, kinds[i], child); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Their places in the child: see SpawnRequest. The numbers they have here must not be among those.
  absl::Status AddActions(posix_spawn_file_actions_t& actions) {
    for (size_t i = 0; i < 3; ++i) {
      if (!streams_[i].valid()) continue;
      if (absl::Status status = AddAction(streams_[i], static_cast<int>(i), actions); !status.ok()) return status;
    }
    if (plan_.options.stderr_kind != Stdio::kStdout) return absl::OkStatus();
    return ToStatus(::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO));
  }

  static absl::Status AddAction(UniqueFd& fd, int place, posix_spawn_file_actions_t& actions) {
    if (fd.get() <= kSpawnStatusFd) {
      UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kSpawnStatusFd + 1));
      if (!moved.valid()) return Errno("fcntl");
      fd = std::move(moved);
    }
    return ToStatus(::posix_spawn_file_actions_adddup2(&actions, fd.get(), place));
  }

 private:
  static absl::Status ToStatus(int error_number) {
    return error_number == 0 ? absl::OkStatus() : ErrnoToStatus(error_number, "posix_spawn");
  }

  absl::Status MakeStream(size_t i, Stdio kind, SpawnedChild& child) {
    switch (kind) {
      case Stdio::kInherit:
      case Stdio::kStdout:
        return absl::OkStatus();
      case Stdio::kNull:
        streams_[i] = AdmitSocket(::open("/dev/null", O_RDWR | O_CLOEXEC), descriptor_limit_);
        return streams_[i].valid() ? absl::OkStatus() : Errno("open", "/dev/null");
      case Stdio::kPty:
        streams_[i] = UniqueFd(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, kSpawnStatusFd + 1));
        return streams_[i].valid() ? absl::OkStatus() : Errno("fcntl");
      case Stdio::kPipe:
        break;
    }
    absl::StatusOr<Pipe> pipe = MakePipe(descriptor_limit_);
    if (!pipe.ok()) return pipe.status();
    if (const uint32_t size = plan_.options.pipesize_bytes.value_or(0);
        size > 0 && ::fcntl(pipe->write_end.get(), F_SETPIPE_SZ, static_cast<int>(size)) < 0) {
      return Errno("fcntl", "pipesize");
    }
    const bool child_reads = i == 0;
    streams_[i] = std::move(child_reads ? pipe->read_end : pipe->write_end);
    child.pipes[i] = std::move(child_reads ? pipe->write_end : pipe->read_end);
    return SetNonBlocking(child.pipes[i]);
  }

  absl::Status MakePty(SpawnedChild& child) {
    child.pty = AdmitSocket(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), descriptor_limit_);
    if (!child.pty.valid()) return Errno("posix_openpt");
    if (::unlockpt(child.pty.get()) != 0) return Errno("unlockpt");
    // By the number and not by a path, which another mount of devpts may have too: ioctl_tty(2).
    terminal_ = UniqueFd(::ioctl(child.pty.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal_.valid()) return Errno("TIOCGPTPEER");
    const WindowSize size = plan_.options.window_size.value_or(WindowSize());
    const winsize window{.ws_row = static_cast<uint16_t>(size.rows),
                         .ws_col = static_cast<uint16_t>(size.columns),
                         .ws_xpixel = 0,
                         .ws_ypixel = 0};
    return ::ioctl(child.pty.get(), TIOCSWINSZ, &window) == 0 ? absl::OkStatus() : Errno("TIOCSWINSZ");
  }

  const SpawnPlan& plan_;
  const int descriptor_limit_;
  std::array<UniqueFd, 3> streams_;
  UniqueFd terminal_;
};

// posix_spawnattr_t and posix_spawn_file_actions_t, which need to be destroyed.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    CHECK(::posix_spawn_file_actions_init(&actions) == 0);
    CHECK(::posix_spawnattr_init(&attributes) == 0);
    // No signal is blocked or ignored in the child, whatever this program does.
    sigset_t signals;
    ::sigemptyset(&signals);
    CHECK(::posix_spawnattr_setsigmask(&attributes, &signals) == 0);
    ::sigfillset(&signals);
    CHECK(::posix_spawnattr_setsigdefault(&attributes, &signals) == 0);
    CHECK(::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() {
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
  }

  posix_spawn_file_actions_t actions = {};
  posix_spawnattr_t attributes = {};
};

absl::Status HelperMissing(std::string_view path) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "SPAWN_HELPER_MISSING",
                   StrCat("no process can be started without ", path.empty() ? kHelperName : path,
                          ", which is not there or cannot be executed"));
}

absl::StatusOr<ChildProcess> StartHelper(const SpawnPlan& plan, const SpawnSettings& settings, SpawnAttributes& spawn) {
  const std::string& path = settings.helper_path;
  char* const arguments[] = {const_cast<char*>(kHelperName), nullptr};
  pid_t pid = 0;
  const int error_number = ::posix_spawn(&pid, path.c_str(), &spawn.actions, &spawn.attributes, arguments, ::environ);
  if (error_number == ENOENT || error_number == EACCES || error_number == ENOEXEC) return HelperMissing(path);
  if (error_number != 0) return ErrnoToStatus(error_number, "posix_spawn", plan.program);
  // The number is the child's until it is reaped, which nobody else does.
  UniqueFd pidfd = AdmitSocket(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), settings.descriptor_limit);
  if (pidfd.valid()) return ChildProcess(pid, std::move(pidfd), plan.OwnsGroup());
  const absl::Status status = Errno("pidfd_open", plan.program);
  static_cast<void>(::kill(pid, SIGKILL));
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return status;
}

absl::Status HelperFailed() {
  return MakeError(absl::StatusCode::kInternal, "SPAWN_HELPER_FAILED",
                   StrCat(kHelperName, " is of another version, or could not read what it was told"));
}

absl::Status SpawnFailureToStatus(const SpawnFailure& failure, const SpawnPlan& plan) {
  switch (failure.step) {
    case SpawnStep::kExecute:
      return ErrnoToStatus(failure.error_number, "exec", plan.program);
    case SpawnStep::kDirectory:
      return ErrnoToStatus(failure.error_number, "chdir", plan.options.cwd.value_or(""));
    case SpawnStep::kSession:
      return ErrnoToStatus(failure.error_number, "setsid");
    case SpawnStep::kTerminal:
      return ErrnoToStatus(failure.error_number, "TIOCSCTTY");
    case SpawnStep::kProcessGroup:
      return ErrnoToStatus(failure.error_number, "setpgid");
    case SpawnStep::kGroups:
      return ErrnoToStatus(failure.error_number, "setgroups");
    case SpawnStep::kGid:
      return ErrnoToStatus(failure.error_number, "setregid");
    case SpawnStep::kUid:
      return ErrnoToStatus(failure.error_number, "setreuid");
    case SpawnStep::kParent:
      return ErrnoToStatus(failure.error_number, "prctl");
    case SpawnStep::kDescriptors:
      return ErrnoToStatus(failure.error_number, "close_range");
    case SpawnStep::kRequest:
      break;
  }
  return HelperFailed();
}

}  // namespace

absl::StatusOr<SpawnedChild> SpawnChild(const SpawnPlan& plan, const SpawnSettings& settings) {
  if (settings.helper_path.empty()) return HelperMissing("");
  const absl::StatusOr<std::string> request = EncodeRequest(plan, settings);
  if (!request.ok()) return request.status();
  absl::StatusOr<UniqueFd> request_fd = WriteRequest(*request, settings.descriptor_limit);
  if (!request_fd.ok()) return request_fd.status();
  absl::StatusOr<Pipe> status_pipe = MakePipe(settings.descriptor_limit);
  if (!status_pipe.ok()) return status_pipe.status();

  SpawnedChild child;
  ChildFds fds(plan, settings.descriptor_limit);
  SpawnAttributes spawn;
  absl::Status status = fds.Make(child);
  if (status.ok()) status = fds.AddActions(spawn.actions);
  if (status.ok()) status = ChildFds::AddAction(*request_fd, kSpawnRequestFd, spawn.actions);
  if (status.ok()) status = ChildFds::AddAction(status_pipe->write_end, kSpawnStatusFd, spawn.actions);
  if (status.ok()) status = SetNonBlocking(status_pipe->read_end);
  if (!status.ok()) return status;

  absl::StatusOr<ChildProcess> process = StartHelper(plan, settings, spawn);
  if (!process.ok()) return process.status();
  child.process = *std::move(process);
  child.status_fd = std::move(status_pipe->read_end);
  return child;
}

std::optional<absl::Status> ReadSpawnAnswer(int status_fd, const SpawnPlan& plan, std::string& answer) {
  char buffer[64];
  const ssize_t size = ::read(status_fd, buffer, sizeof(buffer));
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (size < 0) return Errno("read");
  answer.append(buffer, static_cast<size_t>(size));
  uint32_t version = 0;
  SpawnFailure failure;
  if (answer.size() >= sizeof(version)) std::memcpy(&version, answer.data(), sizeof(version));
  if (size > 0) {
    if (answer.size() < sizeof(version)) return std::nullopt;
    if (version != kSpawnVersion) return HelperFailed();
    if (answer.size() < sizeof(version) + sizeof(failure)) return std::nullopt;
    std::memcpy(&failure, answer.data() + sizeof(version), sizeof(failure));
    return SpawnFailureToStatus(failure, plan);
  }
  return version == kSpawnVersion && answer.size() == sizeof(version) ? absl::OkStatus() : HelperFailed();
}

std::string FindSpawnHelper() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "";
  for (const char* folder : {".", "../libexec", "../bin"}) {
    const std::filesystem::path path = (self.parent_path() / folder / kHelperName).lexically_normal();
    if (::access(path.c_str(), X_OK) == 0) return path.string();
  }
  return "";
}

}  // namespace transportd
