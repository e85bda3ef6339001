#include "server/policy/audit_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

absl::Status BadTarget(std::string_view text, std::string_view problem) {
  return InvalidArgument("INVALID_AUDIT_LOG", "",
                         StrCat("audit log `", text, "`: ", problem,
                                "; allowed: stdout, stderr, fd:N, off, or a file as /PATH or ./PATH"));
}

// Whether the file ends within a line, as after a crash or on a full disk. False when it cannot be read.
bool EndsWithinLine(int append_fd) {
  struct stat info {};
  if (::fstat(append_fd, &info) != 0 || info.st_size == 0) return false;
  const UniqueFd fd(::open(StrCat("/proc/self/fd/", append_fd).c_str(), O_RDONLY | O_CLOEXEC));
  char last = '\n';
  return fd.valid() && ::pread(fd.get(), &last, 1, info.st_size - 1) == 1 && last != '\n';
}

// How much of `lines` goes into one write: whole lines up to `max_bytes`, or one longer line, or that much of it.
size_t PieceBytes(std::string_view lines, size_t max_bytes, bool cut_long_line) {
  if (lines.size() <= max_bytes) return lines.size();
  if (const size_t end = lines.substr(0, max_bytes).rfind('\n'); end != lines.npos) return end + 1;
  if (cut_long_line) return max_bytes;
  const size_t end = lines.find('\n');
  return end == lines.npos ? lines.size() : end + 1;
}

bool IsWritable(int fd) {
  pollfd watched = {.fd = fd, .events = POLLOUT, .revents = 0};
  // An error is the write's to tell.
  return ::poll(&watched, 1, 0) > 0;
}

}  // namespace

absl::StatusOr<AuditTarget> ParseAuditTarget(std::string_view text) {
  constexpr std::string_view kFd = "fd:";
  if (text == "off") return AuditTarget{};
  if (text == "stdout") return AuditTarget{.kind = AuditTarget::Kind::kFd, .fd = STDOUT_FILENO};
  if (text == "stderr") return AuditTarget{.kind = AuditTarget::Kind::kFd, .fd = STDERR_FILENO};
  if (text.starts_with(kFd)) {
    const std::string_view digits = text.substr(kFd.size());
    int fd = -1;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || fd < 0) {
      return BadTarget(text, "N is not the number of a descriptor");
    }
    return AuditTarget{.kind = AuditTarget::Kind::kFd, .fd = fd};
  }
  if (text.find('/') == text.npos) return BadTarget(text, "not known");
  if (text.find('\0') != text.npos) return BadTarget(text, "the path holds a byte 0");
  return AuditTarget{.kind = AuditTarget::Kind::kFile, .fd = -1, .path = std::string(text)};
}

absl::StatusOr<AuditSink> AuditSink::Open(const AuditTarget& target) {
  switch (target.kind) {
    case AuditTarget::Kind::kFile:
      return OpenFile(target.path);
    case AuditTarget::Kind::kFd:
      return OpenFd(target.fd);
    case AuditTarget::Kind::kOff:
      break;
  }
  return InvalidArgument("INVALID_AUDIT_LOG", "", "the audit log is off");
}

absl::StatusOr<AuditSink> AuditSink::OpenFile(const std::string& path) {
  // O_NONBLOCK: a FIFO that nobody reads is an error, and no reason to wait.
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
  if (!fd.valid()) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "open", path);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "fstat", path);
  }
  if (!S_ISREG(info.st_mode)) return AuditSink(std::move(fd), Kind::kPipe);
  AuditSink sink(std::move(fd), Kind::kFile);
  sink.may_end_within_line_ = true;
  return sink;
}

absl::StatusOr<AuditSink> AuditSink::OpenFd(int fd) {
  const std::string name = StrCat("fd:", fd);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return BadTarget(name, "no such descriptor is open");
  if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH) != 0) return BadTarget(name, "it is not open for writing");
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  struct stat info {};
  if (!copy.valid() || ::fstat(copy.get(), &info) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "dup", name);
  }
  if (S_ISREG(info.st_mode)) return AuditSink(std::move(copy), Kind::kFile);
  if (S_ISSOCK(info.st_mode)) return AuditSink(std::move(copy), Kind::kSocket);
  // O_NONBLOCK belongs to all who share the open file: so one of our own. It may be another user's, who does not let
  // us.
  UniqueFd own(::open(StrCat("/proc/self/fd/", fd).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (own.valid()) return AuditSink(std::move(own), Kind::kPipe);
  return AuditSink(std::move(copy), Kind::kSharedPipe);
}

absl::StatusOr<size_t> AuditSink::Write(std::string_view lines) {
  constexpr size_t kFilePieceBytes = 256 * 1024;
  // Looked at when nobody else writes to it any more: when the same file is opened again, whoever had it open has
  // ended.
  if (may_end_within_line_ && EndsWithinLine(fd_.get()) && ::write(fd_.get(), "\n", 1) != 1) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "write", "the audit log");
  }
  may_end_within_line_ = false;
  while (true) {
    ssize_t written = 0;
    switch (kind_) {
      case Kind::kFile:
        written = ::write(fd_.get(), lines.data(), PieceBytes(lines, kFilePieceBytes, false));
        break;
      case Kind::kPipe:
        written = ::write(fd_.get(), lines.data(), PieceBytes(lines, PIPE_BUF, false));
        break;
      case Kind::kSharedPipe:
        // A pipe that is writable takes PIPE_BUF bytes without waiting.
        if (!IsWritable(fd_.get())) return 0;
        written = ::write(fd_.get(), lines.data(), PieceBytes(lines, PIPE_BUF, true));
        break;
      case Kind::kSocket:
        written = ::send(fd_.get(), lines.data(), PieceBytes(lines, PIPE_BUF, false), MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    }
    if (written >= 0) return static_cast<size_t>(written);
    int error_number = errno;
    if (error_number == EINTR) continue;
    if (error_number == EAGAIN || error_number == EWOULDBLOCK) return 0;
    return ErrnoToStatus(error_number, "write", "the audit log");
  }
}

}  // namespace transportd
