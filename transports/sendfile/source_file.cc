#include "transports/sendfile/source_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/escaping.h"
#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/gated_path.h"

namespace transportd {
namespace {

// What Prefetch reads at once: small enough to stay in the processor's cache, where it is thrown away.
constexpr size_t kPrefetchPieceBytes = 64 * 1024;

}  // namespace

absl::StatusOr<std::shared_ptr<SourceFile>> SourceFile::Open(const std::string& path, int descriptor_limit,
                                                             SocketGate* gate) {
  const std::string shown_path = absl::CHexEscape(path);
  const auto failed = [&](int error_number) { return ErrnoToStatus(error_number, "open", shown_path); };
  const auto not_regular = [] {
    return InvalidArgument("NOT_A_REGULAR_FILE", "path", "only a regular file can be sent");
  };
  const absl::StatusOr<AllowedPath> allowed = AllowToOpen(path, /*is_write=*/false, gate, shown_path);
  if (!allowed.ok()) return allowed.status();
  struct stat status {};
  // Looked at first: of some devices, opening is an act already.
  if (::stat(allowed->path.c_str(), &status) != 0) return failed(errno);
  if (!S_ISREG(status.st_mode)) return not_regular();
  UniqueFd fd =
      AdmitSocket(::open(allowed->path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), descriptor_limit);
  const int err = errno;
  if (!fd.valid()) return failed(err);
  if (::fstat(fd.get(), &status) != 0) return failed(errno);
  if (!S_ISREG(status.st_mode)) return not_regular();
  // Not make_shared: the constructor is private.
  return std::shared_ptr<SourceFile>(new SourceFile(std::move(fd), shown_path));
}

absl::StatusOr<size_t> SourceFile::ReadInto(char* buffer, off_t offset, size_t size_bytes) const {
  size_t read_bytes = 0;
  while (read_bytes < size_bytes) {
    const ssize_t size =
        ::pread(fd_.get(), buffer + read_bytes, size_bytes - read_bytes, offset + static_cast<off_t>(read_bytes));
    const int err = errno;
    if (size == 0) break;
    if (size > 0) {
      read_bytes += static_cast<size_t>(size);
    } else if (err != EINTR) {
      return ErrnoToStatus(err, "read", path_);
    }
  }
  return read_bytes;
}

absl::StatusOr<std::string> SourceFile::Read(off_t offset, size_t size_bytes) const {
  std::string data(size_bytes, '\0');
  const absl::StatusOr<size_t> size = ReadInto(data.data(), offset, size_bytes);
  if (!size.ok()) return size.status();
  data.resize(*size);
  return data;
}

absl::StatusOr<size_t> SourceFile::Prefetch(off_t offset, size_t size_bytes) const {
  const auto piece = std::make_unique<char[]>(kPrefetchPieceBytes);
  size_t total_bytes = 0;
  while (total_bytes < size_bytes) {
    const size_t wanted_bytes = std::min(kPrefetchPieceBytes, size_bytes - total_bytes);
    const absl::StatusOr<size_t> size = ReadInto(piece.get(), offset + static_cast<off_t>(total_bytes), wanted_bytes);
    if (!size.ok()) return size.status();
    total_bytes += *size;
    if (*size < wanted_bytes) break;
  }
  return total_bytes;
}

}  // namespace transportd
