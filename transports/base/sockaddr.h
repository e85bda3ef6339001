// SocketAddress to and from the kernel's form.
#ifndef TRANSPORTD_TRANSPORTS_BASE_SOCKADDR_H_
#define TRANSPORTD_TRANSPORTS_BASE_SOCKADDR_H_

#include <sys/socket.h>

#include "absl/status/statusor.h"
#include "transports/api/address.h"

namespace transportd {

// A sockaddr of any family, with its length. Threading: as a plain value.
struct RawAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// AF_INET for kInet, …, AF_UNSPEC for kUnspecified; and back, kUnspecified for any other.
int AddressFamilyToNumber(AddressFamily family);
AddressFamily AddressFamilyFromNumber(int family);

// For bind(2) and connect(2). INVALID_ARGUMENT / INVALID_HOST when the host is not a numeric address of its family,
// INVALID_PATH when a Unix path is longer than 108 bytes or holds a byte 0, INVALID_FAMILY for kUnspecified.
absl::StatusOr<RawAddress> ToRawAddress(const SocketAddress& address);

// What the kernel filled in. A family that is not known here, or a length too short: kUnspecified.
SocketAddress FromRawAddress(const sockaddr* address, socklen_t length);

// getsockname(2), getpeername(2); the kernel's error.
absl::StatusOr<SocketAddress> GetSockname(int fd);
absl::StatusOr<SocketAddress> GetPeername(int fd);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_SOCKADDR_H_
