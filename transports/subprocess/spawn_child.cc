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
#include "transports/subprocess/open_program.h"
#include "transports/subprocess/spawn_request.h"

namespace transportd {
namespace {

constexpr char kHelperName[] = "transportd-spawn";
constexpr uint32_t kConfinedUmask = 077;
constexpr int kLastSpawnFd = kSpawnDirectoryFd;

absl::Status Errno(std::string_view operation, std::string_view address = "") {
  const int err = errno;
  return ErrnoToStatus(err, operation, address);
}

void AppendString(std::string_view text, std::string& request) {
  request.append(text);
  request.push_back('\0');
}

void AppendStrings(const std::vector<std::string>& texts, std::string& request) {
  for (const std::string& text : texts) AppendString(text, request);
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

// The paths are strings of the request.
SpawnConfinement EncodeConfinement(const Confinement& confinement) {
  const Confinement::Limits& limits = confinement.limits;
  return {.enabled = 1,
          .required = confinement.level == Confinement::Level::kRequired,
          .without_network = confinement.network == Confinement::Network::kNone,
          .read_path_count = static_cast<uint32_t>(confinement.read_paths.size()),
          .write_path_count = static_cast<uint32_t>(confinement.write_paths.size()),
          .cpu_seconds = limits.cpu_seconds.value_or(kSpawnNoLimit),
          .address_space_bytes = limits.address_space_bytes.value_or(kSpawnNoLimit),
          .open_file_count = limits.open_file_count.value_or(kSpawnNoLimit),
          .file_bytes = limits.file_bytes.value_or(kSpawnNoLimit)};
}

// What was opened and is confined; neither without a gate or a confinement.
struct Prepared {
  std::optional<OpenedProgram> opened;
  std::optional<Confinement> confinement;
};

absl::StatusOr<Prepared> Prepare(const SpawnPlan& plan, int descriptor_limit) {
  Prepared prepared;
  if (plan.options.gate == nullptr && !plan.options.confinement) return prepared;
  absl::StatusOr<OpenedProgram> opened = OpenProgram(plan, descriptor_limit);
  absl::StatusOr<std::optional<Confinement>> confinement = AskGate(plan, opened);
  if (!confinement.ok()) return confinement.status();
  prepared.opened = *std::move(opened);
  prepared.confinement = *std::move(confinement);
  return prepared;
}

absl::StatusOr<std::string> EncodeRequest(const SpawnPlan& plan, const SpawnSettings& settings,
                                          const Prepared& prepared) {
  const SubprocessOptions& options = plan.options;
  const bool is_confined = prepared.confinement.has_value();
  const bool is_opened = prepared.opened.has_value();
  SpawnHeader header;
  std::string request(sizeof(header), '\0');
  if (absl::Status status = AppendAccounts(options, header, request); !status.ok()) return status;
  header.has_directory = options.cwd && !is_opened;
  if (header.has_directory != 0) AppendString(*options.cwd, request);
  header.has_program_fd = is_opened;
  header.candidate_count = is_opened ? 1 : static_cast<uint32_t>(plan.candidates.size());
  if (is_opened) {
    AppendString(prepared.opened->program_path, request);
  } else {
    AppendStrings(plan.candidates, request);
  }
  header.argument_count = static_cast<uint32_t>(plan.arguments.size());
  AppendStrings(plan.arguments, request);
  header.has_environment = options.env || is_confined;
  if (options.env) {
    header.environment_count = static_cast<uint32_t>(options.env->size());
    for (const auto& [name, value] : *options.env) AppendString(StrCat(name, "=", value), request);
  }
  if (is_confined) {
    header.confinement = EncodeConfinement(*prepared.confinement);
    AppendStrings(prepared.confinement->read_paths, request);
    AppendStrings(prepared.confinement->write_paths, request);
  }
  header.umask = options.umask.value_or(is_confined ? kConfinedUmask : kSpawnUnset);
  header.ignores_sigpipe = !options.restore_signals;
  header.new_session = options.start_new_session || plan.HasPty() || is_confined;
  header.has_terminal = plan.HasPty();
  header.has_process_group = options.process_group && !is_confined;
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
  // `inherits`: Stdio::kInherit is possible.
  ChildFds(const SpawnPlan& plan, bool inherits, int descriptor_limit)
      : plan_(plan), inherits_(inherits), descriptor_limit_(descriptor_limit) {}

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
    if (fd.get() <= kLastSpawnFd) {
      UniqueFd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kLastSpawnFd + 1));
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
        return inherits_ ? absl::OkStatus() : MakeNull(streams_[i]);
      case Stdio::kStdout:
        return absl::OkStatus();
      case Stdio::kNull:
        return MakeNull(streams_[i]);
      case Stdio::kPty:
        streams_[i] = UniqueFd(::fcntl(terminal_.get(), F_DUPFD_CLOEXEC, kLastSpawnFd + 1));
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

  absl::Status MakeNull(UniqueFd& stream) const {
    stream = AdmitSocket(::open("/dev/null", O_RDWR | O_CLOEXEC), descriptor_limit_);
    return stream.valid() ? absl::OkStatus() : Errno("open", "/dev/null");
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
  const bool inherits_;
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

ChildExtent ExtentOf(const SpawnPlan& plan, bool is_confined) {
  // With job control, which is for terminals, a confined process makes groups of its own.
  if (is_confined && plan.HasPty()) return ChildExtent::kSession;
  return is_confined || plan.OwnsGroup() ? ChildExtent::kGroup : ChildExtent::kProcess;
}

absl::StatusOr<ChildProcess> StartHelper(const SpawnPlan& plan, const SpawnSettings& settings, ChildExtent extent,
                                         SpawnAttributes& spawn) {
  const std::string& path = settings.helper_path;
  char* const arguments[] = {const_cast<char*>(kHelperName), nullptr};
  pid_t pid = 0;
  const int error_number = ::posix_spawn(&pid, path.c_str(), &spawn.actions, &spawn.attributes, arguments, ::environ);
  if (error_number == ENOENT || error_number == EACCES || error_number == ENOEXEC) return HelperMissing(path);
  if (error_number != 0) return ErrnoToStatus(error_number, "posix_spawn", plan.program);
  // The number is the child's until it is reaped, which nobody else does.
  UniqueFd pidfd = AdmitSocket(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), settings.descriptor_limit);
  if (pidfd.valid()) return ChildProcess(pid, std::move(pidfd), extent);
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

std::vector<ConfinementStep> StepsOf(uint32_t bits) {
  std::vector<ConfinementStep> steps;
  for (const ConfinementStep step : kConfinementSteps) {
    if ((bits >> static_cast<uint32_t>(step) & 1) != 0) steps.push_back(step);
  }
  return steps;
}

absl::Status CannotConfine(std::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "CANNOT_CONFINE", message);
}

absl::Status KernelCannotConfine(uint32_t lacking) {
  std::string names;
  for (const ConfinementStep step : StepsOf(lacking)) {
    if (!names.empty()) names += ", ";
    names += ConfinementStepName(step);
  }
  return CannotConfine(StrCat("this kernel cannot confine the program; it lacks: ", names));
}

absl::Status BadPath(uint32_t index, const Confinement& confinement) {
  const std::vector<std::string>& read = confinement.read_paths;
  const std::vector<std::string>& write = confinement.write_paths;
  if (index >= read.size() + write.size()) return HelperFailed();
  const std::string& path = index < read.size() ? read[index] : write[index - read.size()];
  return CannotConfine(StrCat("path \"", path, "\": a symbolic link leads there; name what it leads to"));
}

absl::Status SpawnRecordToStatus(const SpawnRecord& failure, const SpawnedChild& child, const SpawnPlan& plan) {
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
    case SpawnStep::kPath:
      if (child.confinement) return BadPath(failure.detail, *child.confinement);
      break;
    case SpawnStep::kCannotConfine:
      return KernelCannotConfine(failure.detail);
    case SpawnStep::kNotConfined:
    case SpawnStep::kRequest:
      break;
  }
  return HelperFailed();
}

}  // namespace

absl::StatusOr<SpawnedChild> SpawnChild(const SpawnPlan& plan, const SpawnSettings& settings) {
  if (settings.helper_path.empty()) return HelperMissing("");
  absl::StatusOr<Prepared> prepared = Prepare(plan, settings.descriptor_limit);
  if (!prepared.ok()) return prepared.status();
  const absl::StatusOr<std::string> request = EncodeRequest(plan, settings, *prepared);
  if (!request.ok()) return request.status();
  absl::StatusOr<UniqueFd> request_fd = WriteRequest(*request, settings.descriptor_limit);
  if (!request_fd.ok()) return request_fd.status();
  absl::StatusOr<Pipe> status_pipe = MakePipe(settings.descriptor_limit);
  if (!status_pipe.ok()) return status_pipe.status();

  SpawnedChild child;
  const bool is_confined = prepared->confinement.has_value();
  ChildFds fds(plan, /*inherits=*/!is_confined, settings.descriptor_limit);
  SpawnAttributes spawn;
  absl::Status status = fds.Make(child);
  if (status.ok()) status = fds.AddActions(spawn.actions);
  if (status.ok()) status = ChildFds::AddAction(*request_fd, kSpawnRequestFd, spawn.actions);
  if (status.ok()) status = ChildFds::AddAction(status_pipe->write_end, kSpawnStatusFd, spawn.actions);
  if (prepared->opened) {
    OpenedProgram& opened = *prepared->opened;
    if (status.ok()) status = ChildFds::AddAction(opened.program, kSpawnProgramFd, spawn.actions);
    if (status.ok()) status = ChildFds::AddAction(opened.directory, kSpawnDirectoryFd, spawn.actions);
  }
  if (status.ok()) status = SetNonBlocking(status_pipe->read_end);
  if (!status.ok()) return status;

  absl::StatusOr<ChildProcess> process = StartHelper(plan, settings, ExtentOf(plan, is_confined), spawn);
  if (!process.ok()) return process.status();
  child.process = *std::move(process);
  child.status_fd = std::move(status_pipe->read_end);
  child.confinement = std::move(prepared->confinement);
  return child;
}

std::optional<absl::Status> ReadSpawnAnswer(const SpawnedChild& child, const SpawnPlan& plan, SpawnAnswer& answer) {
  char buffer[64];
  const ssize_t size = ::read(child.status_fd.get(), buffer, sizeof(buffer));
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (size < 0) return Errno("read");
  std::string& bytes = answer.bytes;
  bytes.append(buffer, static_cast<size_t>(size));
  uint32_t version = 0;
  if (bytes.size() >= sizeof(version)) {
    std::memcpy(&version, bytes.data(), sizeof(version));
    if (version != kSpawnVersion) return HelperFailed();
  }
  size_t read_bytes = sizeof(version);
  for (SpawnRecord record; bytes.size() >= read_bytes + sizeof(record); read_bytes += sizeof(record)) {
    std::memcpy(&record, bytes.data() + read_bytes, sizeof(record));
    if (record.step != SpawnStep::kNotConfined) return SpawnRecordToStatus(record, child, plan);
    answer.not_confined = StepsOf(record.detail);
  }
  if (size > 0) return std::nullopt;
  return bytes.size() == read_bytes ? absl::OkStatus() : HelperFailed();
}

std::string FindSpawnHelper() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "";
  for (const char* folder : {".", "../libexec/transportd", "../bin"}) {
    const std::filesystem::path path = (self.parent_path() / folder / kHelperName).lexically_normal();
    if (::access(path.c_str(), X_OK) == 0) return path.string();
  }
  return "";
}

}  // namespace transportd
