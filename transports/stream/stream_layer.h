// What can be put over a stream socket: TLS.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_STREAM_LAYER_H_
#define TRANSPORTD_TRANSPORTS_STREAM_STREAM_LAYER_H_

#include <memory>

#include "transports/api/transport.h"
#include "transports/stream/stream_socket.h"

namespace transportd {

// One set of terms for any number of connections. Threading: loop thread only.
class StreamLayer {
 public:
  virtual ~StreamLayer() = default;

  // The socket that speaks through `lower`, before its handshake. `extra_info`: the transport's; its addresses are
  // named in errors. Does no I/O. `lower` may itself be a layer's.
  virtual std::unique_ptr<StreamSocket> Wrap(std::unique_ptr<StreamSocket> lower,
                                             const ExtraInfo& extra_info) const = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_STREAM_LAYER_H_
