// What a program that lends its event loop to others lets them do with it.
#ifndef TRANSPORTD_TRANSPORTS_API_SOCKET_GATE_H_
#define TRANSPORTD_TRANSPORTS_API_SOCKET_GATE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"

namespace transportd {

// Ports from `first` to `last`, at least 1.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
};

// Asked behind all name resolution, for every address, each time right before the kernel is: what was allowed is what
// is dialled, bound or sent to. A refusal is what the caller of the loop hears, as the kernel's own would be; it should
// be PERMISSION_DENIED. Lives as long as the operation, and the transport or server that it makes. Threading: loop
// thread only, save MayOpen.
class SocketGate {
 public:
  virtual ~SocketGate() = default;

  // A connection attempt, or connect(2) of a datagram socket. `remote` may be a Unix socket's.
  virtual absl::Status MayConnect(const SocketAddress& remote) = 0;
  // One datagram of a socket that is not connected.
  virtual absl::Status MaySend(const SocketAddress& remote) = 0;
  // bind(2) of a server or a datagram endpoint. When the port is 0 the answer may name ranges, of which one port is
  // then taken; none: the kernel picks. `local` may be a Unix socket's.
  virtual absl::StatusOr<std::vector<PortRange>> MayBind(const SocketAddress& local) = 0;
  // A connection that a server has accepted; refused, it is reset and no protocol hears of it. `peer` of a Unix socket
  // is mostly empty.
  virtual bool MayAccept(const SocketAddress& local, const SocketAddress& peer) = 0;
  // A datagram that has arrived; refused, it is dropped and counted.
  virtual bool MayReceive(const SocketAddress& peer) = 0;
  // A file for sendfile, or a pipe. `is_write`: to write. On a blocking thread.
  virtual absl::Status MayOpen(std::string_view path, bool is_write) = 0;
  // Whether paths, those of Unix sockets included, are used without following a symbolic link (openat2(2),
  // RESOLVE_NO_SYMLINKS): a path that was allowed must lead where it says.
  virtual bool ForbidsSymlinks() const = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_SOCKET_GATE_H_
