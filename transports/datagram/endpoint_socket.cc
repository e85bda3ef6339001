#include "transports/datagram/endpoint_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/check.h"
#include "transports/base/gated_bind.h"
#include "transports/base/gated_path.h"
#include "transports/base/sockaddr.h"
#include "transports/base/socket_place.h"
#include "transports/base/stale_socket.h"

namespace transportd {
namespace {

std::string Describe(const EndpointAddresses& addresses) {
  const auto& named = addresses.local ? addresses.local : addresses.remote;
  return named ? named->ToString() : std::string();
}

absl::Status SwitchOn(int fd, int option, const EndpointAddresses& addresses) {
  const int on = 1;
  if (::setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on)) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "setsockopt", Describe(addresses));
}

Symlinks SymlinksOf(const SocketGate* gate) { return ForbidsSymlinks(gate) ? Symlinks::kForbid : Symlinks::kFollow; }

absl::Status BindUnix(int fd, const SocketAddress& address, SocketGate* gate) {
  if (gate != nullptr) {
    if (const auto allowed = gate->MayBind(address); !allowed.ok()) return allowed.status();
  }
  const absl::StatusOr<SocketPlace> place = FindSocketPlace(address, SymlinksOf(gate));
  if (!place.ok()) return place.status();
  if (gate == nullptr) {
    RemoveStaleSocket(*place);
  } else if (absl::Status status = RemoveUnusedSocket(*place, address.ToString()); !status.ok()) {
    return status;
  }
  if (::bind(fd, place->raw.get(), place->raw.length) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "bind", address.ToString());
}

// Waits for nobody: a datagram socket only takes note of the address.
absl::Status Connect(int fd, const SocketAddress& address, SocketGate* gate) {
  if (gate != nullptr) {
    if (absl::Status status = gate->MayConnect(address); !status.ok()) return status;
  }
  const absl::StatusOr<SocketTarget> target = FindSocketTarget(
      address, address.family == AddressFamily::kUnix ? SymlinksOf(gate) : Symlinks::kFollow, "connect");
  if (!target.ok()) return target.status();
  if (::connect(fd, target->raw.get(), target->raw.length) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "connect", address.ToString());
}

absl::StatusOr<UniqueFd> Open(const EndpointAddresses& addresses, const EndpointSocketOptions& options) {
  UniqueFd fd = AdmitSocket(
      ::socket(AddressFamilyToNumber(addresses.family), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, /*protocol=*/0),
      options.descriptor_limit);
  const int err = errno;
  if (!fd.valid()) return ErrnoToStatus(err, "socket", Describe(addresses));
  absl::Status status;
  if (options.reuse_port) status = SwitchOn(fd.get(), SO_REUSEPORT, addresses);
  if (status.ok() && options.allow_broadcast) status = SwitchOn(fd.get(), SO_BROADCAST, addresses);
  if (status.ok() && addresses.local) {
    status = addresses.family == AddressFamily::kUnix ? BindUnix(fd.get(), *addresses.local, options.gate)
                                                      : BindAllowed(fd.get(), *addresses.local, options.gate);
  }
  if (status.ok() && addresses.remote && !options.allow_broadcast) {
    status = Connect(fd.get(), *addresses.remote, options.gate);
  }
  if (!status.ok()) return status;
  return fd;
}

}  // namespace

std::vector<EndpointAddresses> PairAddresses(const std::optional<std::vector<SocketAddress>>& locals,
                                             const std::optional<std::vector<SocketAddress>>& remotes) {
  std::vector<EndpointAddresses> pairs;
  if (!remotes || !locals) {
    CHECK(remotes || locals);
    for (const SocketAddress& address : remotes ? *remotes : *locals) {
      EndpointAddresses& pair = pairs.emplace_back();
      pair.family = address.family;
      (remotes ? pair.remote : pair.local) = address;
    }
    return pairs;
  }
  for (const SocketAddress& remote : *remotes) {
    for (const SocketAddress& local : *locals) {
      if (local.family != remote.family) continue;
      EndpointAddresses& pair = pairs.emplace_back();
      pair.family = remote.family;
      pair.local = local;
      pair.remote = remote;
    }
  }
  return pairs;
}

absl::StatusOr<EndpointSocket> OpenEndpointSocket(const std::vector<EndpointAddresses>& candidates,
                                                  const EndpointSocketOptions& options) {
  CHECK(!candidates.empty());
  std::vector<TransportError> errors;
  for (const EndpointAddresses& addresses : candidates) {
    absl::StatusOr<UniqueFd> fd = Open(addresses, options);
    if (fd.ok()) return EndpointSocket{.fd = *std::move(fd), .addresses = addresses};
    errors.push_back(ToTransportError(fd.status()));
  }
  TransportError first = errors.front();
  if (errors.size() > 1) first.causes = std::move(errors);
  return ToStatus(first);
}

}  // namespace transportd
