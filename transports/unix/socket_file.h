// The file that a bound Unix socket has in the file system.
#ifndef TRANSPORTD_TRANSPORTS_UNIX_SOCKET_FILE_H_
#define TRANSPORTD_TRANSPORTS_UNIX_SOCKET_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/socket_gate.h"
#include "transports/base/socket_place.h"
#include "transports/stream/stream_server.h"

namespace transportd {

// Binds a new stream socket to `address` (UNIX, with a path), when `gate` allows it; null: everything is allowed. A
// socket file in its way is removed first; with a gate only one that nobody uses, else it is EADDRINUSE.
//
// With `mode`, its permission bits: the file never has more, not even for a moment, and when this returns it has just
// those. Linux gives a new socket file the mode of the socket's own inode, less the umask; what the umask took is put
// back afterwards. The kernel's errors; nothing stays then. `descriptor_limit`: see AdmitSocket.
absl::StatusOr<BoundSocket> BindUnixSocket(const SocketAddress& address, std::optional<uint32_t> mode,
                                           int descriptor_limit, SocketGate* gate = nullptr);

// What removes the socket file at `path` if it still is the one that is there now: one that somebody else has put in
// its place stays. Null: there is nothing to remove, because the name is abstract or empty, or has no file.
absl::AnyInvocable<void()> SocketFileRemover(const std::string& path, Symlinks symlinks = Symlinks::kFollow);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_UNIX_SOCKET_FILE_H_
