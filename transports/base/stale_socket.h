// What a Unix socket leaves behind, in the way of the next one.
#ifndef TRANSPORTD_TRANSPORTS_BASE_STALE_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_BASE_STALE_SOCKET_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/base/sockaddr.h"
#include "transports/base/socket_place.h"

namespace transportd {

// Before bind(2): removes a socket at `path`, whether or not somebody still listens there, as asyncio does. Nothing for
// an empty path, an abstract name, a path where nothing is, or a file of another kind. A failure is logged only: bind
// tells.
void RemoveStaleSocket(const std::string& path);
// The same at a place that was found.
void RemoveStaleSocket(const SocketPlace& place);

// Whether a socket of some process is bound to `address`, a Unix one with a path, whatever its type and whether or not
// it listens yet: nobody is connected to. Also true when it cannot be told, for want of permission to write there. The
// kernel's error when there is no descriptor left to ask with; `shown_address` is for that.
absl::StatusOr<bool> IsSocketInUse(const RawAddress& address, std::string_view shown_address);

// As RemoveStaleSocket, but what belongs to somebody stays: EADDRINUSE when the socket there is in use, as bind's.
absl::Status RemoveUnusedSocket(const SocketPlace& place, std::string_view shown_address);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_STALE_SOCKET_H_
