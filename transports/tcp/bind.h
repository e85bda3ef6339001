// Sockets to listen on.
#ifndef TRANSPORTD_TRANSPORTS_TCP_BIND_H_
#define TRANSPORTD_TRANSPORTS_TCP_BIND_H_

#include <vector>

#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/event_loop.h"
#include "transports/stream/stream_server.h"

namespace transportd {

// A socket bound to each of `addresses` (not empty), each address once. IPv6 sockets are IPv6 only, so that both
// families can have the same port. An address that this machine does not have, or a family that it does not know, is
// passed over, as asyncio does since 3.13; when none is left, or any other bind fails or is refused by options.gate, no
// socket stays. `descriptor_limit`: see AdmitSocket.
absl::StatusOr<std::vector<BoundSocket>> BindAll(const std::vector<SocketAddress>& addresses,
                                                 const CreateServerOptions& options, int descriptor_limit);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_BIND_H_
