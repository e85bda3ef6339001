#include "transports/tcp/create_options.h"

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "transports/api/error.h"
#include "transports/base/create_arguments.h"
#include "transports/base/owned_socket.h"

namespace transportd {
namespace {

constexpr uint32_t kMaxInterleave = 1000;
constexpr size_t kMaxHostCount = 64;

absl::Status ValidateFamily(AddressFamily family) {
  switch (family) {
    case AddressFamily::kUnspecified:
    case AddressFamily::kInet:
    case AddressFamily::kInet6:
      return absl::OkStatus();
    default:
      return InvalidArgument("INVALID_FAMILY", "family", "TCP has INET and INET6");
  }
}

absl::Status HostAndSock() {
  return InvalidArgument("INVALID_SOCKET", "sock", "host/port and sock can not be specified at the same time");
}

}  // namespace

absl::Status ValidateCreateConnection(const CreateConnectionOptions& options) {
  if (options.sock != nullptr) {
    if (options.remote.host || options.remote.port || options.local) return HostAndSock();
    return FirstError({
        ValidateSocket(options.sock.get(), {}),
        ResolveWriteBufferLimits(options.write_buffer_limits).status(),
    });
  }
  absl::Status status = FirstError({
      ValidateHostPort(options.remote, "remote"),
      options.local ? ValidateHostPort(*options.local, "local") : absl::OkStatus(),
      ValidateFamily(options.family),
      ValidateResolverFlags(options.flags),
      ValidateCreateTimeout(options.timeout),
      ResolveWriteBufferLimits(options.write_buffer_limits).status(),
  });
  if (!status.ok()) return status;
  if (options.proto != 0 && options.proto != IPPROTO_TCP) {
    return InvalidArgument("INVALID_PROTO", "proto", "0 or 6 (TCP)");
  }
  if (const auto delay = options.happy_eyeballs_delay;
      delay && (*delay < Duration::zero() || *delay > kMaxCreateDuration)) {
    return InvalidArgument("INVALID_TIMEOUT", "happy_eyeballs_delay", "from 0 to 1 h");
  }
  if (options.interleave && *options.interleave > kMaxInterleave) {
    return InvalidArgument("INVALID_INTERLEAVE", "interleave", "at most 1000");
  }
  return absl::OkStatus();
}

absl::Status ValidateCreateServer(const CreateServerOptions& options) {
  if (options.sock != nullptr) {
    if (!options.hosts.empty() || options.port) return HostAndSock();
    return FirstError({
        ValidateSocket(options.sock.get(), {}),
        ResolveWriteBufferLimits(options.write_buffer_limits).status(),
        ValidateBacklog(options.backlog),
    });
  }
  if (options.hosts.size() > kMaxHostCount) return InvalidArgument("INVALID_HOST", "hosts", "at most 64 hosts");
  for (const std::string& host : options.hosts) {
    if (absl::Status status = ValidateHost(host, "hosts"); !status.ok()) return status;
  }
  return FirstError({
      ValidatePort(options.port, "port"),
      ValidateFamily(options.family),
      ValidateResolverFlags(options.flags.value_or(0)),
      ValidateCreateTimeout(options.timeout),
      ResolveWriteBufferLimits(options.write_buffer_limits).status(),
      ValidateBacklog(options.backlog),
  });
}

}  // namespace transportd
