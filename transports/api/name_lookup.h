// What getaddrinfo and getnameinfo are asked and answer.
#ifndef TRANSPORTD_TRANSPORTS_API_NAME_LOOKUP_H_
#define TRANSPORTD_TRANSPORTS_API_NAME_LOOKUP_H_

#include <optional>
#include <string>

#include "transports/api/address.h"

namespace transportd {

// What getaddrinfo(3) is asked, as it is: every bad value but a byte 0 is the system's to refuse.
struct GetaddrinfoOptions {
  std::optional<std::string> host = {};  // Unset is its NULL.
  std::optional<std::string> port = {};  // A number or a service's name; unset is its NULL.
  AddressFamily family = AddressFamily::kUnspecified;
  SocketType type = SocketType::kUnspecified;
  int proto = 0;
  int flags = 0;
};

// One answer of getaddrinfo(3): asyncio's 5-tuple.
struct AddressInfo {
  AddressFamily family = AddressFamily::kUnspecified;
  SocketType type = SocketType::kUnspecified;
  int proto = 0;
  std::string canonname = {};  // In the first one only, with AI_CANONNAME; else empty.
  SocketAddress address = {};

  friend bool operator==(const AddressInfo&, const AddressInfo&) = default;
};

// What getnameinfo(3) answers.
struct NameInfo {
  std::string host = {};     // A name, or a numeric address with its scope.
  std::string service = {};  // A service's name, or a port.

  friend bool operator==(const NameInfo&, const NameInfo&) = default;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_NAME_LOOKUP_H_
