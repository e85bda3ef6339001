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
// be PERMISSION_DENIED. Lives as long as the operation, and the transport or server that it makes; the last to let go
// of it, or to ask what is asked on a blocking thread, may be such a thread when the loop is gone.
// Threading: loop thread only, save MayOpen and ForbidsSymlinks: any thread.
class SocketGate {
 public:
  virtual ~SocketGate() = default;

  // A connection attempt, or connect(2) of a datagram socket. `remote` may be a Unix socket's. Once for each attempt:
  // not again while a Unix socket's backlog is full, unless Generation has changed.
  virtual absl::Status MayConnect(const SocketAddress& remote) = 0;
  // One datagram of a socket that is not connected; also before it leaves the write buffer. What is allowed is not
  // asked again for the next datagram to the same address, until Generation changes. `remote` is what the kernel gets.
  virtual absl::Status MaySend(const SocketAddress& remote) = 0;
  // bind(2) of a server or a datagram endpoint, or of a connection's own end: a source address or port, a privileged
  // one say, is no less than a listener's. Not when a connection leaves both to the kernel (0.0.0.0 or ::, and port 0).
  // When the port is 0 the answer may name ranges, of which one port is then taken; none: the kernel picks. `local` may
  // be a Unix socket's; a socket file in its way goes only when it is allowed, and nobody's.
  virtual absl::StatusOr<std::vector<PortRange>> MayBind(const SocketAddress& local) = 0;
  // bind(2) to port 0 has worked: `bound` is `local` with the port that it has now. Once behind such a MayBind.
  virtual void HasBound(const SocketAddress& local, const SocketAddress& bound) = 0;
  // A connection that a server has accepted, one over an existing socket included; refused, it is reset, counted, and
  // no protocol hears of it. `local` is the address that it came to. `peer` of a Unix socket is mostly empty.
  virtual bool MayAccept(const SocketAddress& local, const SocketAddress& peer) = 0;
  // A datagram that has arrived at an endpoint that is bound, or not connected; refused, it is dropped and counted.
  // What is allowed is not asked again as with MaySend. `peer` of a Unix socket may be empty.
  virtual bool MayReceive(const SocketAddress& peer) = 0;
  // Changes when what MaySend or MayReceive has allowed may not be allowed any more.
  virtual uint64_t Generation() const = 0;
  // A file for sendfile, or a pipe. `is_write`: to write. On a blocking thread; on the loop's for `fd:N`, an inherited
  // descriptor. An inherited socket goes both ways, and both are asked for.
  virtual absl::Status MayOpen(std::string_view path, bool is_write) = 0;
  // Whether paths, those of Unix sockets included, are used without following a symbolic link (openat2(2),
  // RESOLVE_NO_SYMLINKS): a path that was allowed must lead where it says. Else ELOOP; ENOSYS before Linux 5.6. A Unix
  // socket is then bound through its open folder: the kernel, and so its peers, know it as /proc/self/fd/N/NAME. Loops
  // tell the path all the same, but a datagram's receiver cannot answer to it.
  virtual bool ForbidsSymlinks() const = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_SOCKET_GATE_H_
