#include "transports/stream/transport_opener.h"

#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd {

TransportOpener::TransportOpener(LoopContext& context, ProtocolFactory factory, Done done)
    : context_(context), factory_(std::move(factory)), done_(std::move(done)) {}

void TransportOpener::Open(UniqueFd fd, ConnectedSocketOptions options) {
  Open([this, &fd, &options](std::shared_ptr<BaseProtocol> protocol) {
    return MakeConnectedSocketTransport(context_, std::move(fd), std::move(protocol), std::move(options));
  });
}

void TransportOpener::Open(Make make) {
  std::shared_ptr<BaseProtocol> protocol = factory_();
  CHECK(protocol != nullptr);
  if (result_) return;  // Cancelled by the factory.
  transport_ = make(protocol);
  result_ = Connection{.transport = transport_, .protocol = std::move(protocol)};
  transport_->Start([weak = weak_from_this()](absl::Status status) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (!status.ok() && self->result_->ok()) self->result_ = std::move(status);
    self->Deliver();
  });
}

void TransportOpener::Fail(absl::Status status) {
  if (!done_) return;
  const bool is_queued = result_.has_value();
  result_ = std::move(status);
  if (is_queued) return;
  context_.reactor().CallSoon([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
}

void TransportOpener::Cancel() {
  if (!done_) return;
  // Its protocol may have seen ConnectionMade already.
  if (transport_ != nullptr) transport_->Abort(/*reset=*/false);
  Fail(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"));
}

void TransportOpener::Deliver() {
  transport_.reset();
  std::exchange(done_, nullptr)(*std::move(result_));
}

}  // namespace transportd
