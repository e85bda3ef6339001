#include "transports/stream/serve_socket.h"

#include <utility>
#include <vector>

#include "transports/base/owned_socket.h"

namespace transportd {

ServeSocketOperation::ServeSocketOperation(LoopContext& context, ProtocolFactory factory, Options options,
                                           ServerOpener::Done done)
    : options_(std::move(options)),
      opener_(std::make_shared<ServerOpener>(context, std::move(factory), std::move(done))) {}

void ServeSocketOperation::Start() {
  if (!options_.arguments.ok()) return opener_->Fail(options_.arguments);
  absl::StatusOr<UniqueFd> fd = TakeSocket(*options_.sock);
  if (!fd.ok()) return opener_->Fail(fd.status());
  std::vector<BoundSocket> sockets;
  sockets.push_back({.fd = *std::move(fd), .address = options_.sock->Sockname()});
  if (options_.make_on_closing) options_.server.server.on_closing = options_.make_on_closing(sockets.front());
  opener_->Open(std::move(sockets), std::move(options_.server));
}

}  // namespace transportd
