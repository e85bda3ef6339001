#include "server/listen/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

constexpr size_t kMaxFileBytes = 1024 * 1024;  // As TlsOptions has it.

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const int open_error = errno;
  if (!file.valid()) return ErrnoToStatus(open_error, "open", path);
  std::string contents;
  char buffer[16 * 1024];
  while (contents.size() <= kMaxFileBytes) {
    const ssize_t size = ::read(file.get(), buffer, sizeof(buffer));
    const int err = errno;
    if (size < 0 && err == EINTR) continue;
    if (size < 0) return ErrnoToStatus(err, "read", path);
    if (size == 0) return contents;
    contents.append(buffer, static_cast<size_t>(size));
  }
  return InvalidArgument("BAD_CONFIGURATION", "", StrCat(path, " is too large: at most 1 MiB"));
}

}  // namespace transportd
