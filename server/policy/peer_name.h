// A peer's address in gRPC's notation, as Caller::peer and the audit log have it.
#ifndef TRANSPORTD_SERVER_POLICY_PEER_NAME_H_
#define TRANSPORTD_SERVER_POLICY_PEER_NAME_H_

#include <optional>
#include <string>
#include <string_view>

#include "transports/api/address.h"

namespace transportd {

// `ipv4:127.0.0.1:4711`, `ipv6:%5B::1%5D:4711` (RFC 3986 has no brackets in a path), `unix:`. Any thread.
std::string PeerName(const SocketAddress& peer);

// The other way round; a Unix socket's path is passed over. Unset: it is none of these. Any thread.
std::optional<SocketAddress> ParsePeerName(std::string_view name);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_PEER_NAME_H_
