#include "transports/tcp/bind.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/aggregate_errors.h"
#include "transports/base/gated_bind.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

absl::Status SetOption(int fd, int level, int option, const SocketAddress& address) {
  const int on = 1;
  if (::setsockopt(fd, level, option, &on, sizeof(on)) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "setsockopt", address.ToString());
}

absl::StatusOr<BoundSocket> Bind(const SocketAddress& address, const CreateServerOptions& options,
                                 int descriptor_limit) {
  UniqueFd fd = AdmitSocket(
      ::socket(AddressFamilyToNumber(address.family), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP),
      descriptor_limit);
  const int err = errno;
  if (!fd.valid()) return ErrnoToStatus(err, "socket", address.ToString());

  struct {
    bool wanted;
    int level;
    int option;
  } const switches[] = {
      {options.reuse_address, SOL_SOCKET, SO_REUSEADDR},
      {options.reuse_port, SOL_SOCKET, SO_REUSEPORT},
      {options.keep_alive, SOL_SOCKET, SO_KEEPALIVE},  // Accepted sockets inherit it.
      {address.family == AddressFamily::kInet6, IPPROTO_IPV6, IPV6_V6ONLY},
  };
  for (const auto& [wanted, level, option] : switches) {
    if (!wanted) continue;
    if (absl::Status status = SetOption(fd.get(), level, option, address); !status.ok()) return status;
  }

  if (absl::Status status = BindAllowed(fd.get(), address, options.gate.get()); !status.ok()) return status;
  absl::StatusOr<SocketAddress> bound = GetSockname(fd.get());
  if (!bound.ok()) return bound.status();
  return BoundSocket{.fd = std::move(fd), .address = *std::move(bound)};
}

bool IsPassedOver(const TransportError& error) {
  return error.errno_number == EADDRNOTAVAIL || error.errno_number == EAFNOSUPPORT;
}

}  // namespace

absl::StatusOr<std::vector<BoundSocket>> BindAll(const std::vector<SocketAddress>& addresses,
                                                 const CreateServerOptions& options, int descriptor_limit) {
  std::vector<BoundSocket> sockets;
  std::vector<TransportError> passed_over;
  for (auto address = addresses.begin(); address != addresses.end(); ++address) {
    if (std::find(addresses.begin(), address, *address) != address) continue;
    absl::StatusOr<BoundSocket> socket = Bind(*address, options, descriptor_limit);
    if (socket.ok()) {
      sockets.push_back(*std::move(socket));
      continue;
    }
    TransportError error = ToTransportError(socket.status());
    if (!IsPassedOver(error)) return socket.status();
    passed_over.push_back(std::move(error));
  }
  if (sockets.empty()) return AggregateErrors(std::move(passed_over));
  return sockets;
}

}  // namespace transportd
