#include "transports/tls/tls_layer.h"

#include <utility>

namespace transportd {

TlsLayer::TlsLayer(std::shared_ptr<TlsContext> context, std::string server_hostname, TlsSocket::Timeouts timeouts)
    : context_(std::move(context)), server_hostname_(std::move(server_hostname)), timeouts_(timeouts) {}

std::unique_ptr<StreamSocket> TlsLayer::Wrap(std::unique_ptr<StreamSocket> lower, const ExtraInfo& extra_info) const {
  return std::make_unique<TlsSocket>(context_, std::move(lower), server_hostname_,
                                     extra_info.peername ? extra_info.peername->ToString() : std::string(), timeouts_);
}

}  // namespace transportd
