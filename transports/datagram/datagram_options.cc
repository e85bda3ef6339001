#include "transports/datagram/datagram_options.h"

#include <netinet/in.h>

#include <optional>
#include <string>
#include <string_view>

#include "transports/api/error.h"
#include "transports/base/create_arguments.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

absl::Status ValidatePath(const std::optional<std::string>& path, std::string_view field) {
  if (!path) return absl::OkStatus();
  if (path->empty()) return InvalidArgument("INVALID_PATH", field, "an empty path names nothing");
  if (ToRawAddress({.family = AddressFamily::kUnix, .path = *path}).ok()) return absl::OkStatus();
  return InvalidArgument("INVALID_PATH", field,
                         "at most 108 bytes, of which only the first may be 0: an abstract name");
}

absl::Status ValidateFamily(const CreateDatagramEndpointOptions& options) {
  const bool has_path = options.local_path || options.remote_path;
  const bool has_host = options.local || options.remote;
  if (has_path && has_host) {
    return InvalidArgument("INVALID_FAMILY", "family", "both ends are of one family: host and port, or a path");
  }
  if (!has_path && !has_host && options.family == AddressFamily::kUnspecified) {
    return InvalidArgument("INVALID_FAMILY", "family", "without an address a family is needed");
  }
  const bool is_unix = options.family == AddressFamily::kUnix;
  if (!IsAddressFamily(options.family)) {
    return InvalidArgument("INVALID_FAMILY", "family", "INET, INET6 or UNIX");
  }
  if ((has_host && is_unix) || (has_path && !is_unix && options.family != AddressFamily::kUnspecified)) {
    return InvalidArgument("INVALID_FAMILY", "family", "not the family of the addresses");
  }
  return absl::OkStatus();
}

absl::Status ValidateProto(const CreateDatagramEndpointOptions& options) {
  const bool is_unix = options.local_path || options.remote_path || options.family == AddressFamily::kUnix;
  if (options.proto == 0 || (options.proto == IPPROTO_UDP && !is_unix)) return absl::OkStatus();
  return InvalidArgument("INVALID_PROTO", "proto", "0, or 17 (UDP) for IPv4 and IPv6");
}

}  // namespace

absl::Status ValidateCreateDatagramEndpoint(const CreateDatagramEndpointOptions& options) {
  return FirstError({
      options.local ? ValidateHostPort(*options.local, "local") : absl::OkStatus(),
      options.remote ? ValidateHostPort(*options.remote, "remote") : absl::OkStatus(),
      ValidatePath(options.local_path, "local_path"),
      ValidatePath(options.remote_path, "remote_path"),
      ValidateFamily(options),
      ValidateProto(options),
      ValidateResolverFlags(options.flags),
      ValidateCreateTimeout(options.timeout),
      ResolveWriteBufferLimits(options.write_buffer_limits).status(),
  });
}

}  // namespace transportd
