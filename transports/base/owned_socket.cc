#include "transports/base/owned_socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/check.h"
#include "transports/base/sockaddr.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

std::optional<int> GetNumber(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof(value);
  if (::getsockopt(fd, SOL_SOCKET, option, &value, &size) != 0) return std::nullopt;
  return value;
}

}  // namespace

std::optional<SocketKind> GetSocketKind(int fd) {
  const std::optional<int> family = GetNumber(fd, SO_DOMAIN);
  const std::optional<int> type = GetNumber(fd, SO_TYPE);
  const std::optional<int> proto = GetNumber(fd, SO_PROTOCOL);
  if (!family || !type || !proto) return std::nullopt;
  return SocketKind{
      .family = AddressFamilyFromNumber(*family), .type = static_cast<SocketType>(*type), .proto = *proto};
}

absl::StatusOr<std::shared_ptr<OwnedSocket>> OwnedSocket::Make(UniqueFd fd) {
  const std::optional<SocketKind> kind = GetSocketKind(fd.get());
  if (!kind) return ErrnoToStatus(ENOTSOCK, "getsockopt");
  absl::StatusOr<SocketAddress> sockname = GetSockname(fd.get());
  if (!sockname.ok()) return sockname.status();
  std::optional<SocketAddress> peername;
  if (auto peer = GetPeername(fd.get()); peer.ok()) peername = *std::move(peer);
  // Not make_shared: the constructor is private.
  return std::shared_ptr<OwnedSocket>(new OwnedSocket(std::move(fd), *kind, *std::move(sockname), std::move(peername)));
}

OwnedSocket::OwnedSocket(UniqueFd fd, const SocketKind& kind, SocketAddress sockname,
                         std::optional<SocketAddress> peername)
    : fd_(std::move(fd)), kind_(kind), sockname_(std::move(sockname)), peername_(std::move(peername)) {}

absl::StatusOr<UniqueFd> OwnedSocket::Take() {
  if (!fd_.valid()) return ErrnoToStatus(EBADF, "sock");
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  if (flags < 0 || ((flags & O_NONBLOCK) == 0 && ::fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) != 0)) {
    const int err = errno;
    return ErrnoToStatus(err, "fcntl");
  }
  return std::move(fd_);
}

absl::StatusOr<SocketPair> MakeSocketpair(AddressFamily family, SocketType type, int descriptor_limit) {
  if (family != AddressFamily::kUnspecified && family != AddressFamily::kUnix) {
    return InvalidArgument("INVALID_FAMILY", "family", "only UNIX has socket pairs");
  }
  if (type != SocketType::kStream && type != SocketType::kDatagram && type != SocketType::kSeqpacket) {
    return InvalidArgument("INVALID_SOCKET_TYPE", "type", "a pair is of type STREAM, DGRAM or SEQPACKET");
  }
  int fds[2] = {-1, -1};
  if (::socketpair(AF_UNIX, static_cast<int>(type) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0) {
    const int err = errno;
    return ErrnoToStatus(err, "socketpair");
  }
  std::array<UniqueFd, 2> owned = {UniqueFd(fds[0]), UniqueFd(fds[1])};
  std::array<std::shared_ptr<OwnedSocket>, 2> sockets;
  for (size_t i = 0; i < owned.size(); ++i) {
    owned[i] = AdmitSocket(owned[i].Release(), descriptor_limit);
    if (!owned[i].valid()) return ErrnoToStatus(EMFILE, "socketpair");
    absl::StatusOr<std::shared_ptr<OwnedSocket>> socket = OwnedSocket::Make(std::move(owned[i]));
    if (!socket.ok()) return socket.status();
    sockets[i] = *std::move(socket);
  }
  return SocketPair{.first = std::move(sockets[0]), .second = std::move(sockets[1])};
}

absl::StatusOr<std::shared_ptr<OwnedSocket>> DuplicateSocket(int fd, int descriptor_limit) {
  UniqueFd duplicate = AdmitSocket(::fcntl(fd, F_DUPFD_CLOEXEC, 0), descriptor_limit);
  const int err = errno;
  if (!duplicate.valid()) return ErrnoToStatus(err, "dup", StrCat("fd ", fd));
  return OwnedSocket::Make(std::move(duplicate));
}

absl::Status ValidateSocket(const ExistingSocket* socket, const SocketRequirement& requirement) {
  if (socket == nullptr) return absl::OkStatus();
  if (dynamic_cast<const OwnedSocket*>(socket) == nullptr) {
    return InvalidArgument("INVALID_SOCKET", "sock", "the socket is another loop's");
  }
  if (requirement.family != AddressFamily::kUnspecified && socket->Kind().family != requirement.family) {
    return InvalidArgument("INVALID_SOCKET", "sock", "a socket of another address family was expected");
  }
  if (socket->Kind().type != requirement.type) {
    return InvalidArgument(
        "INVALID_SOCKET", "sock",
        requirement.type == SocketType::kStream ? "a stream socket was expected" : "a datagram socket was expected");
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> TakeSocket(ExistingSocket& socket) {
  auto* const owned = dynamic_cast<OwnedSocket*>(&socket);
  CHECK(owned != nullptr);
  return owned->Take();
}

}  // namespace transportd
