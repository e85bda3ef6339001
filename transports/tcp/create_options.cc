#include "transports/tcp/create_options.h"

#include <netdb.h>
#include <netinet/in.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "transports/api/error.h"

namespace transportd {
namespace {

constexpr uint32_t kMaxPort = 65535;
constexpr uint32_t kMaxBacklog = 65535;
constexpr uint32_t kMaxInterleave = 1000;
constexpr size_t kMaxHostBytes = 253;  // RFC 1035, section 2.3.4, without the root's dot.
constexpr size_t kMaxScopeBytes = 64;  // With the %, as in transports/resolver/lookup.cc.
constexpr size_t kMaxHostCount = 64;
constexpr Duration kMaxDuration = std::chrono::hours(1);
constexpr int kKnownFlags = AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG |
                            AI_NUMERICSERV | AI_IDN | AI_CANONIDN;

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

// `name`: the HostPort's own field.
absl::Status ValidateHostPort(const HostPort& address, const std::string& name) {
  if (!address.host && !address.port) {
    return InvalidArgument("INVALID_HOST", name + ".host", "a host or a port is needed");
  }
  if (address.host) {
    if (address.host->empty()) return InvalidArgument("INVALID_HOST", name + ".host", "an empty host names nothing");
    if (absl::Status status = ValidateHost(*address.host, name + ".host"); !status.ok()) return status;
  }
  return ValidatePort(address.port, name + ".port");
}

absl::Status ValidateFamily(AddressFamily family) {
  if (family == AddressFamily::kUnix) return InvalidArgument("INVALID_FAMILY", "family", "TCP has INET and INET6");
  return absl::OkStatus();
}

absl::Status ValidateFlags(int flags) {
  if ((flags & ~kKnownFlags) != 0)
    return InvalidArgument("INVALID_FLAGS", "flags", "holds bits that getaddrinfo has not");
  return absl::OkStatus();
}

absl::Status ValidateTimeout(std::optional<Duration> timeout) {
  if (timeout && (*timeout <= Duration::zero() || *timeout > kMaxDuration)) {
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

}  // namespace

absl::Status ValidateCreateConnection(const CreateConnectionOptions& options) {
  absl::Status status = FirstError({
      ValidateHostPort(options.remote, "remote"),
      options.local ? ValidateHostPort(*options.local, "local") : absl::OkStatus(),
      ValidateFamily(options.family),
      ValidateFlags(options.flags),
      ValidateTimeout(options.timeout),
      ResolveWriteBufferLimits(options.write_buffer_limits).status(),
  });
  if (!status.ok()) return status;
  if (options.proto != 0 && options.proto != IPPROTO_TCP) {
    return InvalidArgument("INVALID_PROTO", "proto", "0 or 6 (TCP)");
  }
  if (const auto delay = options.happy_eyeballs_delay; delay && (*delay < Duration::zero() || *delay > kMaxDuration)) {
    return InvalidArgument("INVALID_TIMEOUT", "happy_eyeballs_delay", "from 0 to 1 h");
  }
  if (options.interleave && *options.interleave > kMaxInterleave) {
    return InvalidArgument("INVALID_INTERLEAVE", "interleave", "at most 1000");
  }
  return absl::OkStatus();
}

absl::Status ValidateCreateServer(const CreateServerOptions& options) {
  if (options.hosts.size() > kMaxHostCount) return InvalidArgument("INVALID_HOST", "hosts", "at most 64 hosts");
  for (const std::string& host : options.hosts) {
    if (absl::Status status = ValidateHost(host, "hosts"); !status.ok()) return status;
  }
  absl::Status status = FirstError({
      ValidatePort(options.port, "port"),
      ValidateFamily(options.family),
      ValidateFlags(options.flags.value_or(0)),
      ValidateTimeout(options.timeout),
      ResolveWriteBufferLimits(options.write_buffer_limits).status(),
  });
  if (!status.ok()) return status;
  if (options.backlog < 1 || options.backlog > kMaxBacklog) {
    return InvalidArgument("INVALID_BACKLOG", "backlog", "from 1 to 65535");
  }
  return absl::OkStatus();
}

}  // namespace transportd
