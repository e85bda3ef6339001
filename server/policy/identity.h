// The caller of --dev, and the name of a caller's place.
#ifndef TRANSPORTD_SERVER_POLICY_IDENTITY_H_
#define TRANSPORTD_SERVER_POLICY_IDENTITY_H_

#include <string>
#include <string_view>

#include "server/policy/authorizer.h"

namespace transportd {

// gRPC's name of a peer, without its percent-encoding (`ipv6:%5B::1%5D:4711`). Any thread.
std::string DecodedPeer(std::string_view peer);

// The caller behind a connection with --dev: `dev`. `peer` is gRPC's. Any thread.
Caller IdentifyCaller(std::string_view peer);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_IDENTITY_H_
