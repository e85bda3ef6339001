#include "transports/base/gated_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

absl::StatusOr<UniqueFd> PinPath(const std::string& path, std::string_view operation, std::string_view shown_path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  // The C library has no function for it.
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
  const int err = errno;
  if (fd.valid()) return fd;
  TransportError error = ToTransportError(ErrnoToStatus(err, operation, shown_path));
  if (err == ENOSYS) error.message += ": symbolic links are forbidden, and this kernel has no openat2(2) to do without";
  if (err == ELOOP) error.message += ": symbolic links are forbidden";
  return ToStatus(error);
}

std::string PinnedName(int fd) { return StrCat("/proc/self/fd/", fd); }

absl::StatusOr<AllowedPath> AllowToOpen(const std::string& path, bool is_write, SocketGate* gate,
                                        std::string_view shown_path) {
  if (gate == nullptr) return AllowedPath{.pin = {}, .path = path};
  if (absl::Status status = gate->MayOpen(path, is_write); !status.ok()) return status;
  if (!gate->ForbidsSymlinks()) return AllowedPath{.pin = {}, .path = path};
  absl::StatusOr<UniqueFd> pin = PinPath(path, "open", shown_path);
  if (!pin.ok()) return pin.status();
  std::string name = PinnedName(pin->get());
  return AllowedPath{.pin = *std::move(pin), .path = std::move(name)};
}

}  // namespace transportd
