// Where the audit log's lines go.
#ifndef TRANSPORTD_SERVER_POLICY_AUDIT_SINK_H_
#define TRANSPORTD_SERVER_POLICY_AUDIT_SINK_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Threading: a value.
struct AuditTarget {
  enum class Kind { kOff, kFd, kFile };

  Kind kind = Kind::kOff;
  int fd = -1;            // kFd.
  std::string path = {};  // kFile.
};

// `stdout`, `stderr`, `fd:N`, `off`; all else is the path of a file: absolute, or with a `/` in it. INVALID_ARGUMENT /
// INVALID_AUDIT_LOG: `of` is none.
absl::StatusOr<AuditTarget> ParseAuditTarget(std::string_view text);

// An open one. Threading: one thread at a time.
class AuditSink final {
 public:
  // A file is appended to, and made with mode 0600 when there is none; a line that the one before was cut off in is
  // ended first. A descriptor stays its owner's. INVALID_ARGUMENT / INVALID_AUDIT_LOG: it cannot be written to, or
  // `off`; or the kernel's error.
  static absl::StatusOr<AuditSink> Open(const AuditTarget& target);

  // Writes some of `lines`, whole ones as far as they fit a pipe at once, so that those of others who write to it do
  // not come between. Never waits for a reader: 0 when it would. The kernel's error.
  absl::StatusOr<size_t> Write(std::string_view lines);

  // For poll(2), when Write said 0.
  int fd() const { return fd_.get(); }

 private:
  enum class Kind { kFile, kSocket, kPipe, kSharedPipe };

  AuditSink(UniqueFd fd, Kind kind) : fd_(std::move(fd)), kind_(kind) {}

  static absl::StatusOr<AuditSink> OpenFile(const std::string& path);
  static absl::StatusOr<AuditSink> OpenFd(int fd);

  UniqueFd fd_;
  Kind kind_;
  bool may_end_within_line_ = false;  // Of a file: not looked at yet.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_AUDIT_SINK_H_
