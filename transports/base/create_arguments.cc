#include "transports/base/create_arguments.h"

#include <netdb.h>

#include <cstddef>

#include "transports/api/error.h"

namespace transportd {
namespace {

constexpr uint32_t kMaxPort = 65535;
constexpr uint32_t kMaxBacklog = 65535;
constexpr size_t kMaxHostBytes = 253;  // RFC 1035, section 2.3.4, without the root's dot.
constexpr size_t kMaxScopeBytes = 64;  // With the %, as in transports/resolver/lookup.cc.
constexpr int kKnownFlags = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG |
                            AI_NUMERICSERV | AI_IDN | AI_CANONIDN;

}  // namespace

absl::Status ValidateHost(std::string_view host, std::string_view field) {
  if (host.find('\0') != std::string_view::npos) return InvalidArgument("INVALID_HOST", field, "holds a byte 0");
  // The scope's name is the interface's, and has a bound of its own.
  const std::string_view name = host.substr(0, host.find('%'));
  if (name.size() > kMaxHostBytes) return InvalidArgument("INVALID_HOST", field, "a host has at most 253 bytes");
  if (host.size() - name.size() > kMaxScopeBytes) {
    return InvalidArgument("INVALID_HOST", field, "a scope has at most 64 bytes");
  }
  return absl::OkStatus();
}

absl::Status ValidatePort(std::optional<uint32_t> port, std::string_view field) {
  if (port && *port > kMaxPort) return InvalidArgument("INVALID_PORT", field, "a port is from 0 to 65535");
  return absl::OkStatus();
}

absl::Status ValidateHostPort(const HostPort& address, const std::string& field) {
  if (!address.host && !address.port) {
    return InvalidArgument("INVALID_HOST", field + ".host", "a host or a port is needed");
  }
  if (address.host) {
    if (address.host->empty()) return InvalidArgument("INVALID_HOST", field + ".host", "an empty host names nothing");
    if (absl::Status status = ValidateHost(*address.host, field + ".host"); !status.ok()) return status;
  }
  return ValidatePort(address.port, field + ".port");
}

absl::Status ValidateBacklog(uint32_t backlog) {
  if (backlog < 1 || backlog > kMaxBacklog) return InvalidArgument("INVALID_BACKLOG", "backlog", "from 1 to 65535");
  return absl::OkStatus();
}

absl::Status ValidateResolverFlags(int flags) {
  if ((flags & ~kKnownFlags) != 0) {
    return InvalidArgument("INVALID_FLAGS", "flags", "holds bits that getaddrinfo has not");
  }
  return absl::OkStatus();
}

absl::Status ValidateCreateTimeout(std::optional<Duration> timeout) {
  if (timeout && (*timeout <= Duration::zero() || *timeout > kMaxCreateDuration)) {
    return InvalidArgument("INVALID_TIMEOUT", "timeout", "more than 0, at most 1 h");
  }
  return absl::OkStatus();
}

absl::Status FirstError(std::initializer_list<absl::Status> statuses) {
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace transportd
