// A call that needs a TLS layer first.
#ifndef TRANSPORTD_TRANSPORTS_TLS_TLS_FIRST_H_
#define TRANSPORTD_TRANSPORTS_TLS_TLS_FIRST_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/error.h"
#include "transports/api/tls_options.h"
#include "transports/base/operation.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/stream_layer.h"
#include "transports/tls/tls_layers.h"

namespace transportd {

// Gets the layer, and then is what `make` makes with it: so that bad options are told before anything is opened.
// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
template <typename Result>
class TlsFirstOperation final : public Operation, public std::enable_shared_from_this<TlsFirstOperation<Result>> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Result>)>;
  using Make = absl::AnyInvocable<std::shared_ptr<Operation>(Done, std::shared_ptr<const StreamLayer>)>;

  // `reactor` and `layers` must outlive this.
  TlsFirstOperation(Reactor& reactor, TlsLayers& layers, TlsOptions options, TlsSide side, Make make, Done done)
      : reactor_(reactor),
        layers_(layers),
        options_(std::move(options)),
        side_(side),
        make_(std::move(make)),
        done_(std::move(done)) {}
  ~TlsFirstOperation() override { layers_.Cancel(request_); }

  // Operation
  void Start() override {
    request_ = layers_.Get(options_, side_, [this](auto layer) {
      request_ = 0;
      if (!layer.ok()) {
        std::exchange(done_, nullptr)(layer.status());
        return;
      }
      operation_ = make_(std::exchange(done_, nullptr), *std::move(layer));
      operation_->Start();
    });
  }
  void Cancel() override {
    if (operation_ != nullptr) return operation_->Cancel();
    if (request_ == 0) return;
    layers_.Cancel(std::exchange(request_, 0));
    reactor_.CallSoon([weak = this->weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      std::exchange(self->done_, nullptr)(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"));
    });
  }

 private:
  Reactor& reactor_;
  TlsLayers& layers_;
  const TlsOptions options_;
  const TlsSide side_;
  Make make_;
  Done done_;
  TlsLayers::RequestId request_ = 0;
  // shared_ptr: owned by this, once there is a layer.
  std::shared_ptr<Operation> operation_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_TLS_FIRST_H_
