// Addresses: what getsockname(2) answers, and what a person writes.
#ifndef TRANSPORTD_TRANSPORTS_API_ADDRESS_H_
#define TRANSPORTD_TRANSPORTS_API_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>

namespace transportd {

enum class AddressFamily { kUnspecified, kInet, kInet6, kUnix };

// Whether it is one of them; what a client sent need not be.
constexpr bool IsAddressFamily(AddressFamily family) {
  return family >= AddressFamily::kUnspecified && family <= AddressFamily::kUnix;
}

// socket(2)'s types, by this system's numbers: the resolver may tell others than these.
enum class SocketType { kUnspecified = 0, kStream = 1, kDatagram = 2, kRaw = 3, kSeqpacket = 5 };

// One end of a socket. A value type: compares by content.
struct SocketAddress {
  AddressFamily family = AddressFamily::kUnspecified;
  std::string host = {};  // kInet, kInet6: numeric, without brackets and scope.
  uint16_t port = 0;      // kInet, kInet6.
  uint32_t flowinfo = 0;  // kInet6: host byte order.
  uint32_t scope_id = 0;  // kInet6: the interface's index; 0 for none.
  std::string path = {};  // kUnix: any bytes; empty for unnamed, first byte 0 for abstract.

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;

  // For people: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%2]:80`, `/run/x`, `@abstract`, `(unnamed)`.
  std::string ToString() const;
};

// What a socket is. asyncio's get_extra_info('socket').family, type and proto.
struct SocketKind {
  AddressFamily family = AddressFamily::kUnspecified;
  SocketType type = SocketType::kUnspecified;
  int proto = 0;

  friend bool operator==(const SocketKind&, const SocketKind&) = default;
};

// A host and a port before resolution. Unset, empty and 0 differ: see HostPort in proto/transportd/v1/types.proto.
struct HostPort {
  std::optional<std::string> host = {};
  std::optional<uint32_t> port = {};  // 0 to 65535; wider so that a bad one can be refused and not wrapped.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_ADDRESS_H_
