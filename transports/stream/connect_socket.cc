#include "transports/stream/connect_socket.h"

#include <utility>

#include "transports/api/error.h"
#include "transports/base/owned_socket.h"

namespace transportd {

ConnectSocketOperation::ConnectSocketOperation(LoopContext& context, ProtocolFactory factory, Options options,
                                               TransportOpener::Done done)
    : context_(context),
      options_(std::move(options)),
      opener_(std::make_shared<TransportOpener>(context, std::move(factory), std::move(done))) {}

void ConnectSocketOperation::Start() {
  if (!options_.arguments.ok()) return opener_->Fail(options_.arguments);
  absl::StatusOr<UniqueFd> fd = TakeSocket(*options_.sock);
  if (!fd.ok()) return opener_->Fail(fd.status());
  fd_ = *std::move(fd);
  // In a later turn, because it calls the factory.
  context_.reactor().CallSoon([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr || !self->fd_.valid()) return;
    self->opener_->Open(std::move(self->fd_), {.write_buffer_limits = self->options_.write_buffer_limits,
                                               .peername = {},
                                               .layer = std::move(self->options_.layer),
                                               .on_lost = nullptr});
  });
}

void ConnectSocketOperation::Cancel() {
  fd_.Reset();
  opener_->Cancel();
}

absl::Status ValidateConnectAcceptedSocket(const ConnectAcceptedSocketOptions& options) {
  if (options.sock == nullptr) return InvalidArgument("INVALID_SOCKET", "sock", "a socket is needed");
  if (absl::Status status = ValidateSocket(options.sock.get(), {}); !status.ok()) return status;
  return ResolveWriteBufferLimits(options.write_buffer_limits).status();
}

}  // namespace transportd
