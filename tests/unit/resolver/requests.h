// What the tests of this folder ask and expect, in short.
#ifndef TRANSPORTD_TESTS_UNIT_RESOLVER_REQUESTS_H_
#define TRANSPORTD_TESTS_UNIT_RESOLVER_REQUESTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "transports/api/address.h"
#include "transports/resolver/lookup.h"

namespace transportd {

inline ResolveRequest Request(std::optional<std::string> host, std::optional<uint32_t> port = std::nullopt) {
  ResolveRequest request;
  request.address = HostPort{.host = std::move(host), .port = port};
  return request;
}

inline SocketAddress Inet(const std::string& host, uint16_t port) {
  return {.family = AddressFamily::kInet, .host = host, .port = port, .path = {}};
}

inline SocketAddress Inet6(const std::string& host, uint16_t port) {
  return {.family = AddressFamily::kInet6, .host = host, .port = port, .path = {}};
}

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_RESOLVER_REQUESTS_H_
