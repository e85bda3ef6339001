#include "transports/base/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr socklen_t kPathOffset = offsetof(sockaddr_un, sun_path);

// sockaddr_storage is filled and read by copying: no casts that break aliasing.
template <typename Sockaddr>
RawAddress Pack(const Sockaddr& address, socklen_t length = sizeof(Sockaddr)) {
  RawAddress raw;
  static_assert(sizeof(Sockaddr) <= sizeof(raw.storage));
  std::memcpy(&raw.storage, &address, sizeof(address));
  raw.length = length;
  return raw;
}

template <typename Sockaddr>
Sockaddr Unpack(const sockaddr* address, socklen_t length) {
  Sockaddr unpacked{};
  std::memcpy(&unpacked, address, std::min<size_t>(length, sizeof(unpacked)));
  return unpacked;
}

absl::Status BadHost(const SocketAddress& address, std::string_view family) {
  return InvalidArgument("INVALID_HOST", "host", StrCat("not a numeric ", family, " address: ", address.host));
}

absl::StatusOr<RawAddress> PackUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() > sizeof(address.sun_path)) {
    return InvalidArgument("INVALID_PATH", "path",
                           StrCat("the path has ", path.size(), " bytes, at most ", sizeof(address.sun_path)));
  }
  bool abstract = !path.empty() && path.front() == '\0';
  if (!abstract && path.find('\0') != std::string::npos) {
    return InvalidArgument("INVALID_PATH", "path", "the path holds a byte 0, which only begins an abstract name");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  // No final 0 in the length: for an abstract name it would belong to the name, and a path needs none. unix(7)
  return Pack(address, kPathOffset + static_cast<socklen_t>(path.size()));
}

std::string UnpackPath(const sockaddr_un& address, socklen_t length) {
  size_t path_bytes = std::min<size_t>(length - kPathOffset, sizeof(address.sun_path));
  if (path_bytes > 0 && address.sun_path[0] != '\0') path_bytes = strnlen(address.sun_path, path_bytes);
  return std::string(address.sun_path, path_bytes);
}

template <typename Call>
absl::StatusOr<SocketAddress> Ask(Call call, int fd, std::string_view operation) {
  RawAddress raw;
  raw.length = sizeof(raw.storage);
  if (call(fd, reinterpret_cast<sockaddr*>(&raw.storage), &raw.length) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, operation);
  }
  return FromRawAddress(raw.get(), std::min<socklen_t>(raw.length, sizeof(raw.storage)));
}

}  // namespace

int AddressFamilyToNumber(AddressFamily family) {
  switch (family) {
    case AddressFamily::kUnspecified:
      return AF_UNSPEC;
    case AddressFamily::kInet:
      return AF_INET;
    case AddressFamily::kInet6:
      return AF_INET6;
    case AddressFamily::kUnix:
      return AF_UNIX;
  }
  return AF_UNSPEC;
}

AddressFamily AddressFamilyFromNumber(int family) {
  switch (family) {
    case AF_INET:
      return AddressFamily::kInet;
    case AF_INET6:
      return AddressFamily::kInet6;
    case AF_UNIX:
      return AddressFamily::kUnix;
    default:
      return AddressFamily::kUnspecified;
  }
}

absl::StatusOr<RawAddress> ToRawAddress(const SocketAddress& address) {
  switch (address.family) {
    case AddressFamily::kInet: {
      sockaddr_in inet{};
      inet.sin_family = AF_INET;
      inet.sin_port = htons(address.port);
      if (inet_pton(AF_INET, address.host.c_str(), &inet.sin_addr) != 1) return BadHost(address, "IPv4");
      return Pack(inet);
    }
    case AddressFamily::kInet6: {
      sockaddr_in6 inet6{};
      inet6.sin6_family = AF_INET6;
      inet6.sin6_port = htons(address.port);
      inet6.sin6_flowinfo = htonl(address.flowinfo);
      inet6.sin6_scope_id = address.scope_id;
      if (inet_pton(AF_INET6, address.host.c_str(), &inet6.sin6_addr) != 1) return BadHost(address, "IPv6");
      return Pack(inet6);
    }
    case AddressFamily::kUnix:
      return PackUnix(address.path);
    case AddressFamily::kUnspecified:
      break;
  }
  return InvalidArgument("INVALID_FAMILY", "family", "the address has no family");
}

SocketAddress FromRawAddress(const sockaddr* address, socklen_t length) {
  SocketAddress result;
  if (length < sizeof(sa_family_t)) return result;
  sa_family_t family = AF_UNSPEC;
  std::memcpy(&family, address, sizeof(family));
  char text[INET6_ADDRSTRLEN];
  if (family == AF_INET && length >= sizeof(sockaddr_in)) {
    auto inet = Unpack<sockaddr_in>(address, length);
    result.family = AddressFamily::kInet;
    result.host = inet_ntop(AF_INET, &inet.sin_addr, text, sizeof(text));
    result.port = ntohs(inet.sin_port);
  } else if (family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    auto inet6 = Unpack<sockaddr_in6>(address, length);
    result.family = AddressFamily::kInet6;
    result.host = inet_ntop(AF_INET6, &inet6.sin6_addr, text, sizeof(text));
    result.port = ntohs(inet6.sin6_port);
    result.flowinfo = ntohl(inet6.sin6_flowinfo);
    result.scope_id = inet6.sin6_scope_id;
  } else if (family == AF_UNIX) {
    result.family = AddressFamily::kUnix;
    result.path = UnpackPath(Unpack<sockaddr_un>(address, length), length);
  }
  return result;
}

absl::StatusOr<SocketAddress> GetSockname(int fd) { return Ask(::getsockname, fd, "getsockname"); }

absl::StatusOr<SocketAddress> GetPeername(int fd) { return Ask(::getpeername, fd, "getpeername"); }

}  // namespace transportd
