// A stream transport for a socket that is connected already: made by connect, accept or socketpair.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_CONNECTED_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_STREAM_CONNECTED_SOCKET_H_

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "transports/api/address.h"
#include "transports/api/transport.h"
#include "transports/base/unique_fd.h"
#include "transports/stream/stream_layer.h"
#include "transports/stream/stream_transport.h"

namespace transportd {

struct ConnectedSocketOptions {
  // Valid ones. With neither limit, what is usual for the layer.
  WriteBufferLimits write_buffer_limits = {};
  // What kind of socket it is; unset: getsockopt(2) is asked.
  std::optional<SocketKind> kind = {};
  // Unset: getsockname(2) is asked.
  std::optional<SocketAddress> sockname = {};
  // What accept4 told; unset: getpeername(2) is asked.
  std::optional<SocketAddress> peername = {};
  // What the connection speaks through: TLS, whose handshake comes before ConnectionMade. Null: nothing. Shared with
  // the server or operation whose connection it is.
  std::shared_ptr<const StreamLayer> layer = {};
  // See StreamTransport::Options.
  absl::AnyInvocable<void(StreamTransport&)> on_lost;
};

// Takes over `fd`, a connected SOCK_STREAM socket that is non-blocking and close-on-exec. Sets TCP_NODELAY when it is
// TCP, as asyncio does. The caller calls Start. Cannot fail: of a connection that broke meanwhile, reading tells.
std::shared_ptr<StreamTransport> MakeConnectedSocketTransport(LoopContext& context, UniqueFd fd,
                                                              std::shared_ptr<BaseProtocol> protocol,
                                                              ConnectedSocketOptions options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_CONNECTED_SOCKET_H_
