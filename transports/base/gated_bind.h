// bind(2) of an Internet socket, when it is allowed.
#ifndef TRANSPORTD_TRANSPORTS_BASE_GATED_BIND_H_
#define TRANSPORTD_TRANSPORTS_BASE_GATED_BIND_H_

#include "absl/status/status.h"
#include "transports/api/address.h"
#include "transports/api/socket_gate.h"

namespace transportd {

// Binds `fd`, an INET or INET6 socket, to `address`, for which `gate` is asked first; null: everything is allowed.
//
// When the port is 0 and the gate names ranges, a port of theirs that nobody has is taken, at random; it is nobody's
// besides, whether or not the socket has SO_REUSEADDR or SO_REUSEPORT, as with the kernel's own pick (ip(7),
// ip_local_port_range). EADDRINUSE when 4096 of them, or all if they are fewer, are taken.
//
// The gate's refusal; ToRawAddress's errors; the kernel's.
absl::Status BindAllowed(int fd, const SocketAddress& address, SocketGate* gate);

// Whether binding a socket to it, before it is connected, says anything: not when both address and port are left to the
// kernel.
bool NamesASource(const SocketAddress& address);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_GATED_BIND_H_
