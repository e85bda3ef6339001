#include "server/ops/address_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

// 0, or the errno.
int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0) {
      int error_number = errno;
      if (error_number == EINTR) continue;
      return error_number;
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AddressFile>> AddressFile::Create(std::string path,
                                                                 const std::vector<std::string>& addresses) {
  std::string text;
  for (const std::string& address : addresses) text += address + "\n";
  const std::string unfinished = StrCat(path, ".", getpid(), ".tmp");
  {
    UniqueFd fd(open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd.valid()) {
      int error_number = errno;
      return ErrnoToStatus(error_number, "open", unfinished);
    }
    if (int error_number = WriteAll(fd.get(), text); error_number != 0) {
      unlink(unfinished.c_str());
      return ErrnoToStatus(error_number, "write", unfinished);
    }
  }
  if (rename(unfinished.c_str(), path.c_str()) != 0) {
    int error_number = errno;
    unlink(unfinished.c_str());
    return ErrnoToStatus(error_number, "rename", path);
  }
  return std::unique_ptr<AddressFile>(new AddressFile(std::move(path)));
}

AddressFile::~AddressFile() { unlink(path_.c_str()); }

}  // namespace transportd
