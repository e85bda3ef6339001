// TLS as a layer of streams.
#ifndef TRANSPORTD_TRANSPORTS_TLS_TLS_LAYER_H_
#define TRANSPORTD_TRANSPORTS_TLS_TLS_LAYER_H_

#include <memory>
#include <string>

#include "transports/stream/stream_layer.h"
#include "transports/tls/tls_context.h"
#include "transports/tls/tls_socket.h"

namespace transportd {

// Threading: loop thread only.
class TlsLayer final : public StreamLayer {
 public:
  // See TlsSocket.
  TlsLayer(std::shared_ptr<TlsContext> context, std::string server_hostname, TlsSocket::Timeouts timeouts);

  std::unique_ptr<StreamSocket> Wrap(std::unique_ptr<StreamSocket> lower, const ExtraInfo& extra_info) const override;

 private:
  // Shared with the connections made and with the cache that found it.
  const std::shared_ptr<TlsContext> context_;
  const std::string server_hostname_;
  const TlsSocket::Timeouts timeouts_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_TLS_LAYER_H_
