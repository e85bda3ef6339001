// ExistingSocket over a descriptor of this process.
#ifndef TRANSPORTD_TRANSPORTS_BASE_OWNED_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_BASE_OWNED_SOCKET_H_

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/existing_socket.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// SO_DOMAIN, SO_TYPE and SO_PROTOCOL (socket(7)). Null: not a socket.
std::optional<SocketKind> GetSocketKind(int fd);

// Threading: as a UniqueFd.
class OwnedSocket final : public ExistingSocket {
 public:
  // Takes over `fd`. ENOTSOCK when it is none.
  static absl::StatusOr<std::shared_ptr<OwnedSocket>> Make(UniqueFd fd);

  // The descriptor to the caller, non-blocking from now on; EBADF when it is closed.
  absl::StatusOr<UniqueFd> Take();

  // ExistingSocket
  bool IsOpen() const override { return fd_.valid(); }
  void Close() override { fd_.Reset(); }
  const SocketKind& Kind() const override { return kind_; }
  const SocketAddress& Sockname() const override { return sockname_; }
  const std::optional<SocketAddress>& Peername() const override { return peername_; }

 private:
  OwnedSocket(UniqueFd fd, const SocketKind& kind, SocketAddress sockname, std::optional<SocketAddress> peername);

  UniqueFd fd_;
  const SocketKind kind_;
  const SocketAddress sockname_;
  const std::optional<SocketAddress> peername_;
};

// socketpair(2), close-on-exec and non-blocking. INVALID_FAMILY unless `family` is UNIX or unspecified (which is UNIX),
// INVALID_SOCKET_TYPE unless `type` is stream, datagram or seqpacket; the kernel's errors. `descriptor_limit`: see
// AdmitSocket.
absl::StatusOr<SocketPair> MakeSocketpair(AddressFamily family, SocketType type, int descriptor_limit);

// A duplicate of `fd`, which stays open: socket.fromfd. The kernel's error; ENOTSOCK.
absl::StatusOr<std::shared_ptr<OwnedSocket>> DuplicateSocket(int fd, int descriptor_limit);

// What a call asks of the socket that it is handed.
struct SocketRequirement {
  SocketType type = SocketType::kStream;
  AddressFamily family = AddressFamily::kUnspecified;  // Unspecified: any.
};
// INVALID_ARGUMENT / INVALID_SOCKET, field `sock`: of another type or family, or of another loop's making. Null is no
// mistake. Whether it is open, taking it tells.
absl::Status ValidateSocket(const ExistingSocket* socket, const SocketRequirement& requirement);

// OwnedSocket::Take, of a socket that ValidateSocket found good.
absl::StatusOr<UniqueFd> TakeSocket(ExistingSocket& socket);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_OWNED_SOCKET_H_
