#include "clients/cpp/file_contents.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

// As much as TLS takes of certificates, here and in the service.
constexpr size_t kMaxBytes = 1 << 20;

}  // namespace

absl::StatusOr<std::string> ReadFileContents(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  int error_number = errno;
  if (!fd.valid()) return ErrnoToStatus(error_number, "open", path);
  std::string content(kMaxBytes + 1, '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(fd.get(), content.data() + size, content.size() - size);
    error_number = errno;
    if (count < 0 && error_number == EINTR) continue;
    if (count < 0) return ErrnoToStatus(error_number, "read", path);
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > kMaxBytes) return InvalidArgument("FILE_TOO_LARGE", "", StrCat(path, ": it must be at most 1 MiB long"));
  content.resize(size);
  return content;
}

}  // namespace transportd
