#include "transports/tls/start_tls.h"

#include <utility>

#include "transports/api/error.h"

namespace transportd {

StartTlsOperation::StartTlsOperation(Reactor& reactor, TlsLayers& layers, std::shared_ptr<StreamTransport> transport,
                                     StartTlsOptions options, Done done)
    : reactor_(reactor),
      layers_(layers),
      transport_(std::move(transport)),
      options_(std::move(options)),
      done_(std::move(done)) {}

StartTlsOperation::~StartTlsOperation() { layers_.Cancel(request_); }

void StartTlsOperation::Start() {
  absl::Status status = transport_->BeginLayer([weak = weak_from_this()](absl::Status result) {
    if (const auto self = weak.lock()) self->Finish(std::move(result));
  });
  if (!status.ok()) {
    FinishSoon(std::move(status));
    return;
  }
  is_begun_ = true;
  const TlsSide side = options_.server_side ? TlsSide::kServer : TlsSide::kClient;
  request_ = layers_.Get(options_.tls, side, [this](auto layer) {
    request_ = 0;
    if (layer.ok()) {
      transport_->SetLayer(*std::move(layer), std::move(options_.incoming));
      return;
    }
    // Nothing has happened yet, so the transport goes on as it was.
    transport_->CancelLayer();
    Finish(layer.status());
  });
}

void StartTlsOperation::Cancel() {
  if (!done_ || is_cancelled_) return;
  is_cancelled_ = true;
  layers_.Cancel(std::exchange(request_, 0));
  // Its end calls Finish, in a later turn. Otherwise Finish is queued already.
  if (is_begun_) transport_->Abort();
}

void StartTlsOperation::FinishSoon(absl::Status status) {
  reactor_.CallSoon([weak = weak_from_this(), status = std::move(status)]() mutable {
    if (const auto self = weak.lock()) self->Finish(std::move(status));
  });
}

void StartTlsOperation::Finish(absl::Status status) {
  if (!done_) return;
  if (is_cancelled_) status = MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled");
  std::exchange(done_, nullptr)(std::move(status));
}

}  // namespace transportd
