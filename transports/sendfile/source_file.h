// The file that sendfile reads.
#ifndef TRANSPORTD_TRANSPORTS_SENDFILE_SOURCE_FILE_H_
#define TRANSPORTD_TRANSPORTS_SENDFILE_SOURCE_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/socket_gate.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Threading: any thread; everything here may wait for the disk.
class SourceFile final {
 public:
  // Regular files only: INVALID_ARGUMENT / NOT_A_REGULAR_FILE for any other, which is not opened. The kernel's errors.
  // `descriptor_limit`: see AdmitSocket. `gate` is asked first; null: everything is allowed.
  static absl::StatusOr<std::shared_ptr<SourceFile>> Open(const std::string& path, int descriptor_limit,
                                                          SocketGate* gate = nullptr);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  // At most `size_bytes` from `offset` on; fewer only at the end of the file.
  absl::StatusOr<std::string> Read(off_t offset, size_t size_bytes) const;

  // Reads them into the kernel's cache and returns how many there are; fewer only at the end of the file.
  absl::StatusOr<size_t> Prefetch(off_t offset, size_t size_bytes) const;

 private:
  SourceFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  // pread(2) of all of it, or up to the end.
  absl::StatusOr<size_t> ReadInto(char* buffer, off_t offset, size_t size_bytes) const;

  const UniqueFd fd_;
  const std::string path_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SENDFILE_SOURCE_FILE_H_
