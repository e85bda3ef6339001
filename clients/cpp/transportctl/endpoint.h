// Addresses as transportctl's command line has them.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ENDPOINT_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ENDPOINT_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "transports/api/address.h"

namespace transportd::ctl {

// Threading: a value.
struct Endpoint {
  // As bind(2) takes it: a path, or a byte 0 and an abstract name. Unset: host_port.
  std::optional<std::string> unix_path = {};
  HostPort host_port = {};

  bool is_unix() const { return unix_path.has_value(); }
};

// `unix:PATH`, `unix:@NAME`, or what ParseHostPort takes. INVALID_ARGUMENT, with one sentence that says what is
// allowed.
absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text, bool host_is_optional);

// `example.org:80`, `[::1]:80`, `:80`. With `host_is_optional` also `80`. A host that is left out is unset.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text, bool host_is_optional);

// As ParseEndpoint reads it.
std::string EndpointText(const SocketAddress& address);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ENDPOINT_H_
