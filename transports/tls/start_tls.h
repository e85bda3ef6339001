// start_tls: TLS over a stream that is there already.
#ifndef TRANSPORTD_TRANSPORTS_TLS_START_TLS_H_
#define TRANSPORTD_TRANSPORTS_TLS_START_TLS_H_

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/tls_options.h"
#include "transports/base/operation.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/stream_transport.h"
#include "transports/tls/tls_layers.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class StartTlsOperation final : public Operation, public std::enable_shared_from_this<StartTlsOperation> {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  // `reactor` and `layers` must outlive this.
  StartTlsOperation(Reactor& reactor, TlsLayers& layers, std::shared_ptr<StreamTransport> transport,
                    StartTlsOptions options, Done done);
  ~StartTlsOperation() override;

  // Operation
  void Start() override;
  // Ends the transport, when TLS was being started on it.
  void Cancel() override;

 private:
  void FinishSoon(absl::Status status);
  void Finish(absl::Status status);

  Reactor& reactor_;
  TlsLayers& layers_;
  // Shared with the loop and the program.
  const std::shared_ptr<StreamTransport> transport_;
  StartTlsOptions options_;
  Done done_;
  TlsLayers::RequestId request_ = 0;
  bool is_begun_ = false;      // The transport waits for the layer, or for its handshake.
  bool is_cancelled_ = false;  // `done` gets CANCELLED, whatever comes.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_START_TLS_H_
