#include "transports/subprocess/open_program.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// Empty, and errno, when it has none: it was removed, or lies outside of this program's root.
std::string PathOf(const UniqueFd& fd) {
  std::error_code error;
  std::string path = std::filesystem::read_symlink(StrCat("/proc/self/fd/", fd.get()), error).string();
  if (error) {
    errno = error.value();
    return "";
  }
  struct stat opened = {};
  struct stat named = {};
  if (path.starts_with('/') && ::fstat(fd.get(), &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
      opened.st_dev == named.st_dev && opened.st_ino == named.st_ino) {
    return path;
  }
  errno = ENOENT;
  return "";
}

bool OpenDirectory(const std::string& path, int descriptor_limit, OpenedProgram& opened) {
  opened.directory = AdmitSocket(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), descriptor_limit);
  if (!opened.directory.valid()) return false;
  opened.directory_path = PathOf(opened.directory);
  return !opened.directory_path.empty();
}

// False with errno.
bool OpenCandidate(const std::string& path, int descriptor_limit, OpenedProgram& opened) {
  UniqueFd fd = AdmitSocket(::openat(opened.directory.get(), path.c_str(), O_PATH | O_CLOEXEC), descriptor_limit);
  if (!fd.valid()) return false;
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) return false;
  if (!S_ISREG(status.st_mode)) {
    errno = EACCES;
    return false;
  }
  std::string real_path = PathOf(fd);
  if (real_path.empty() || ::access(real_path.c_str(), X_OK) != 0) return false;
  opened.program = std::move(fd);
  opened.program_path = std::move(real_path);
  return true;
}

// As it would be without symbolic links.
std::string NameOf(const SpawnPlan& plan) {
  const std::filesystem::path directory = plan.options.cwd.value_or("/");
  return (directory / plan.candidates.front()).lexically_normal().string();
}

absl::Status CheckConfined(const Confinement& confinement, const SpawnPlan& plan) {
  if (absl::Status bad = ValidateConfinement(confinement); !bad.ok()) return bad;
  if (plan.options.process_group.value_or(0) == 0) return absl::OkStatus();
  return InvalidArgument("INVALID_PROCESS_GROUP", "process_group",
                         "unset or 0 for a confined process, which leads a session of its own");
}

}  // namespace

absl::StatusOr<OpenedProgram> OpenProgram(const SpawnPlan& plan, int descriptor_limit) {
  OpenedProgram opened;
  if (!OpenDirectory(plan.options.cwd.value_or("."), descriptor_limit, opened)) {
    const int err = errno;
    return ErrnoToStatus(err, "chdir", plan.options.cwd.value_or(""));
  }
  int first_error = 0;
  for (const std::string& candidate : plan.candidates) {
    if (OpenCandidate(candidate, descriptor_limit, opened)) return opened;
    const int err = errno;
    if (err != ENOENT && err != ENOTDIR && first_error == 0) first_error = err;
  }
  return ErrnoToStatus(first_error != 0 ? first_error : ENOENT, "exec", plan.program);
}

absl::StatusOr<std::optional<Confinement>> AskGate(const SpawnPlan& plan, const absl::StatusOr<OpenedProgram>& opened) {
  std::optional<Confinement> confinement = plan.options.confinement;
  if (plan.options.gate != nullptr) {
    absl::StatusOr<std::optional<Confinement>> answer =
        opened.ok() ? plan.options.gate->MayRun(opened->program_path, opened->directory_path)
                    : plan.options.gate->MayRun(NameOf(plan), plan.options.cwd.value_or("/"));
    if (!answer.ok()) return answer.status();
    if (*answer) confinement = *std::move(answer);
  }
  if (!opened.ok()) return opened.status();
  if (!confinement) return confinement;
  if (absl::Status bad = CheckConfined(*confinement, plan); !bad.ok()) return bad;
  return confinement;
}

}  // namespace transportd
