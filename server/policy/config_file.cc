#include "server/policy/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {

absl::StatusOr<std::string> ReadConfigFile(const std::string& path, size_t max_bytes) {
  // A FIFO without a writer would block.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "open", path);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "fstat", path);
  }
  if (!S_ISREG(status.st_mode)) return absl::InvalidArgumentError(ToAbsl(StrCat(path, ": it must be a regular file")));
  std::string text;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
    int error_number = errno;
    if (count < 0 && error_number == EINTR) continue;
    if (count < 0) return ErrnoToStatus(error_number, "read", path);
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
    if (text.size() > max_bytes) {
      return absl::InvalidArgumentError(ToAbsl(StrCat(path, ": it must be at most ", max_bytes, " bytes long")));
    }
  }
}

}  // namespace transportd
