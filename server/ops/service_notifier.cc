#include "server/ops/service_notifier.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

absl::StatusOr<ServiceNotifier> ServiceNotifier::Create(std::string_view address) {
  std::string name(address);
  if (name.empty()) return ServiceNotifier(UniqueFd(), std::move(name));
  if ((name[0] != '/' && name[0] != '@') || name.size() >= sizeof(sockaddr_un::sun_path)) {
    return InvalidArgument("BAD_NOTIFY_SOCKET", "",
                           StrCat("NOTIFY_SOCKET=", name, ": allowed: /PATH or @NAME, at most ",
                                  sizeof(sockaddr_un::sun_path) - 1, " bytes"));
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) {
    const int error_number = errno;
    return ErrnoToStatus(error_number, "socket", name);
  }
  if (name[0] == '@') name[0] = '\0';
  return ServiceNotifier(std::move(socket), std::move(name));
}

absl::Status ServiceNotifier::Ready(std::string_view status) const { return Send(StrCat("READY=1\nSTATUS=", status)); }

absl::Status ServiceNotifier::Stopping(std::chrono::microseconds at_most, std::string_view status) const {
  return Send(StrCat("STOPPING=1\nEXTEND_TIMEOUT_USEC=", at_most.count(), "\nSTATUS=", status));
}

absl::Status ServiceNotifier::Send(std::string_view message) const {
  if (!socket_.valid()) return absl::OkStatus();
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  if (::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
               size) < 0) {
    const int error_number = errno;
    return ErrnoToStatus(error_number, "sendto", "NOTIFY_SOCKET");
  }
  return absl::OkStatus();
}

}  // namespace transportd
