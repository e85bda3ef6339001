// Multicast groups of a datagram socket.
#ifndef TRANSPORTD_TRANSPORTS_DATAGRAM_MULTICAST_H_
#define TRANSPORTD_TRANSPORTS_DATAGRAM_MULTICAST_H_

#include "absl/status/status.h"
#include "transports/api/address.h"
#include "transports/api/datagram.h"

namespace transportd {

// `family` is the socket's. Errors as DatagramTransport::JoinGroup says.
absl::Status JoinGroup(int fd, AddressFamily family, const MulticastGroup& group);
absl::Status LeaveGroup(int fd, AddressFamily family, const MulticastGroup& group);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_DATAGRAM_MULTICAST_H_
