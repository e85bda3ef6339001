#include "transports/subprocess/spawn_plan.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>
#include <variant>

#include "transports/api/error.h"
#include "transports/base/create_arguments.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr uint32_t kMaxUmask = 0777;
constexpr uint32_t kMaxGroupCount = 65536;  // NGROUPS_MAX.
constexpr uint32_t kMaxWindowSize = 65535;
// execve(2) takes at most three quarters of 8 MiB.
constexpr size_t kMaxRequestBytes = 8 * 1024 * 1024;

bool HasNull(std::string_view text) { return text.find('\0') != std::string_view::npos; }

absl::Status ValidateText(std::string_view text, std::string_view field) {
  return HasNull(text) ? InvalidArgument("EMBEDDED_NULL", field, "must not hold a byte 0") : absl::OkStatus();
}

absl::Status ValidateStdio(const SubprocessOptions& options) {
  if (options.stdin_kind == Stdio::kStdout) return InvalidArgument("INVALID_STDIO", "stdin", "is never STDOUT");
  if (options.stdout_kind == Stdio::kStdout) return InvalidArgument("INVALID_STDIO", "stdout", "is never STDOUT");
  const bool has_pty = options.stdin_kind == Stdio::kPty;
  if (has_pty != (options.stdout_kind == Stdio::kPty) || (options.stderr_kind == Stdio::kPty && !has_pty)) {
    return InvalidArgument("INVALID_STDIO", "stdout", "a pseudo-terminal is for stdin and stdout, or for all three");
  }
  if (!options.window_size) return absl::OkStatus();
  if (!has_pty) return InvalidArgument("INVALID_WINDOW_SIZE", "window_size", "is for a pseudo-terminal only");
  return ValidateWindowSize(*options.window_size);
}

absl::Status ValidateEnvironment(const SubprocessOptions& options) {
  if (!options.env) return absl::OkStatus();
  for (const auto& [name, value] : *options.env) {
    if (HasNull(name) || HasNull(value)) return ValidateText(std::string_view("\0", 1), "env");
    if (name.empty() || name.find('=') != std::string::npos) {
      return InvalidArgument("INVALID_ENVIRONMENT_NAME", "env", "a name has at least one byte, and none that is '='");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateAccount(const AccountId& account, std::string_view reason, std::string_view field) {
  if (const std::string* name = std::get_if<std::string>(&account)) return ValidateText(*name, field);
  if (std::get<uint32_t>(account) != std::numeric_limits<uint32_t>::max()) return absl::OkStatus();
  return InvalidArgument(reason, field, "0 to 4294967294");  // For setreuid(2) the last one is no number.
}

absl::Status ValidateAccounts(const SubprocessOptions& options) {
  if (options.user) {
    if (absl::Status bad = ValidateAccount(*options.user, "INVALID_USER", "user"); !bad.ok()) return bad;
  }
  if (options.group) {
    if (absl::Status bad = ValidateAccount(*options.group, "INVALID_GROUP", "group"); !bad.ok()) return bad;
  }
  if (!options.extra_groups) return absl::OkStatus();
  if (options.extra_groups->size() > kMaxGroupCount) {
    return InvalidArgument("INVALID_GROUP", "extra_groups", StrCat("at most ", kMaxGroupCount));
  }
  for (const AccountId& group : *options.extra_groups) {
    if (absl::Status bad = ValidateAccount(group, "INVALID_GROUP", "extra_groups"); !bad.ok()) return bad;
  }
  return absl::OkStatus();
}

absl::Status ValidateNumbers(const SubprocessOptions& options) {
  if (options.process_group.value_or(0) < 0) {
    return InvalidArgument("INVALID_PROCESS_GROUP", "process_group", "0 or a process group's number");
  }
  const bool has_pty = options.stdin_kind == Stdio::kPty || options.stdout_kind == Stdio::kPty;
  if (options.process_group && (options.start_new_session || has_pty)) {
    return InvalidArgument("INVALID_PROCESS_GROUP", "process_group",
                           "unset with a new session or a pseudo-terminal, where the process leads a group of its own");
  }
  if (options.umask.value_or(0) > kMaxUmask) return InvalidArgument("INVALID_UMASK", "umask", "0 to 0777");
  if (options.pipesize_bytes.value_or(0) > uint32_t{std::numeric_limits<int32_t>::max()}) {
    return InvalidArgument("INVALID_PIPESIZE", "pipesize", "0 to 2147483647");
  }
  if (options.drain_timeout &&
      (*options.drain_timeout < Duration::zero() || *options.drain_timeout > kMaxCreateDuration)) {
    return InvalidArgument("INVALID_TIMEOUT", "drain_timeout", "0 to 1 h");
  }
  return ResolveWriteBufferLimits(options.write_buffer_limits).status();
}

absl::Status ValidateTexts(const std::vector<std::string>& argv, const SubprocessOptions& options) {
  for (const std::string& argument : argv) {
    const bool is_program = &argument == &argv.front();
    if (absl::Status bad = ValidateText(argument, is_program ? "program" : "args"); !bad.ok()) return bad;
  }
  return FirstError({ValidateText(options.cwd.value_or(""), "cwd"),
                     ValidateText(options.executable.value_or(""), "executable"), ValidateEnvironment(options)});
}

// The kernel would say the same, after more work.
absl::Status ValidateSize(const std::vector<std::string>& argv, const SubprocessOptions& options) {
  size_t size_bytes = 0;
  for (const std::string& argument : argv) size_bytes += argument.size() + 1;
  if (options.env) {
    for (const auto& [name, value] : *options.env) size_bytes += name.size() + value.size() + 2;
  }
  return size_bytes > kMaxRequestBytes ? ErrnoToStatus(E2BIG, "exec", argv.front()) : absl::OkStatus();
}

const std::string* FindPath(const std::vector<std::pair<std::string, std::string>>& env) {
  for (const auto& [name, value] : env) {
    if (name == "PATH") return &value;
  }
  return nullptr;
}

}  // namespace

absl::Status ValidateWindowSize(const WindowSize& size) {
  const auto is_valid = [](uint32_t count) { return count >= 1 && count <= kMaxWindowSize; };
  if (is_valid(size.rows) && is_valid(size.columns)) return absl::OkStatus();
  return InvalidArgument("INVALID_WINDOW_SIZE", is_valid(size.rows) ? "columns" : "rows", "1 to 65535");
}

absl::Status ValidateConfinement(const Confinement& confinement) {
  const auto bad = [](std::string_view message) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "CANNOT_CONFINE", message);
  };
  for (const auto* paths : {&confinement.read_paths, &confinement.write_paths}) {
    for (const std::string& path : *paths) {
      if (!path.starts_with('/') || HasNull(path)) return bad(StrCat("path \"", path, "\": must be absolute"));
    }
  }
  const Confinement::Limits& limits = confinement.limits;
  const bool has_zero = limits.wall_time.value_or(Duration(1)) <= Duration::zero() || limits.cpu_seconds == 0u ||
                        limits.address_space_bytes == 0u || limits.open_file_count == 0u || limits.file_bytes == 0u;
  return has_zero ? bad("a limit is 0, with which no program can run") : absl::OkStatus();
}

std::vector<std::string> ShellArguments(std::string cmd) { return {"/bin/sh", "-c", std::move(cmd)}; }

std::vector<std::string> FindCandidates(const std::string& program, const std::string* path) {
  if (program.find('/') != std::string::npos) return {program};
  std::vector<std::string> candidates;
  std::string_view rest = path != nullptr ? std::string_view(*path) : "/bin:/usr/bin";
  while (true) {
    const size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    const bool needs_slash = !folder.empty() && folder.back() != '/';
    candidates.push_back(StrCat(folder, needs_slash ? "/" : "", program));
    if (colon == std::string_view::npos) return candidates;
    rest.remove_prefix(colon + 1);
  }
}

absl::StatusOr<SpawnPlan> PlanSpawn(std::vector<std::string> argv, SubprocessOptions options) {
  const absl::Status status =
      FirstError({ValidateTexts(argv, options), ValidateStdio(options), ValidateAccounts(options),
                  ValidateNumbers(options), ValidateSize(argv, options)});
  if (!status.ok()) return status;
  SpawnPlan plan;
  plan.program = options.executable.value_or(argv.front());
  if (options.env) {
    plan.candidates = FindCandidates(plan.program, FindPath(*options.env));
  } else {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment while loops run.
    const char* const value = std::getenv("PATH");
    const std::string path = value != nullptr ? value : "";
    plan.candidates = FindCandidates(plan.program, value != nullptr ? &path : nullptr);
  }
  plan.arguments = std::move(argv);
  plan.options = std::move(options);
  return plan;
}

}  // namespace transportd
