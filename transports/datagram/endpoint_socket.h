// The socket of a datagram endpoint: made, bound, connected.
#ifndef TRANSPORTD_TRANSPORTS_DATAGRAM_ENDPOINT_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_DATAGRAM_ENDPOINT_SOCKET_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/socket_gate.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// One way to make an endpoint. Threading: a value.
struct EndpointAddresses {
  AddressFamily family = AddressFamily::kUnspecified;
  std::optional<SocketAddress> local = {};  // Unset: not bound.
  std::optional<SocketAddress> remote = {};
};

// Every pair of the two lists whose families agree, in the order of `remotes`, then of `locals`; a list that is unset
// is not wanted. None when no families agree.
std::vector<EndpointAddresses> PairAddresses(const std::optional<std::vector<SocketAddress>>& locals,
                                             const std::optional<std::vector<SocketAddress>>& remotes);

struct EndpointSocketOptions {
  bool reuse_port = false;
  bool allow_broadcast = false;  // The socket is then not connected to its remote address.
  int descriptor_limit = 0;      // See AdmitSocket.
  // Asked before each address is bound or connected to. Null: everything is allowed, and a Unix socket in the way is
  // removed, as asyncio does; with a gate one that somebody uses stays: EADDRINUSE.
  SocketGate* gate = nullptr;
};

struct EndpointSocket {
  UniqueFd fd;
  EndpointAddresses addresses;
};

// A socket for the first of `candidates` (not empty) that works. None does: the first one's error, with all of them as
// its causes when there are several.
absl::StatusOr<EndpointSocket> OpenEndpointSocket(const std::vector<EndpointAddresses>& candidates,
                                                  const EndpointSocketOptions& options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_DATAGRAM_ENDPOINT_SOCKET_H_
