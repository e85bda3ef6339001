// What a Unix socket leaves behind, in the way of the next one.
#ifndef TRANSPORTD_TRANSPORTS_BASE_STALE_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_BASE_STALE_SOCKET_H_

#include <string>

#include "transports/base/socket_place.h"

namespace transportd {

// Before bind(2): removes a socket at `path`, whether or not somebody still listens there, as asyncio does. Nothing for
// an empty path, an abstract name, a path where nothing is, or a file of another kind. A failure is logged only: bind
// tells.
void RemoveStaleSocket(const std::string& path);
// The same at a place that was found.
void RemoveStaleSocket(const SocketPlace& place);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_STALE_SOCKET_H_
