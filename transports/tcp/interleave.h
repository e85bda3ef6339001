// The order in which a host's addresses are tried.
#ifndef TRANSPORTD_TRANSPORTS_TCP_INTERLEAVE_H_
#define TRANSPORTD_TRANSPORTS_TCP_INTERLEAVE_H_

#include <cstdint>
#include <vector>

#include "transports/api/address.h"

namespace transportd {

// Reorders by family, keeping the order within each: `first_family_count` addresses of the family that comes first,
// then one of each family in turn. 0: as they are. asyncio's _interleave_addrinfos; RFC 8305, section 4.
std::vector<SocketAddress> InterleaveAddresses(std::vector<SocketAddress> addresses, uint32_t first_family_count);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_INTERLEAVE_H_
