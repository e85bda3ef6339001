// The end of every call that opens a stream transport over a connected socket: protocol, transport, `done`.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_TRANSPORT_OPENER_H_
#define TRANSPORTD_TRANSPORTS_STREAM_TRANSPORT_OPENER_H_

#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/base/unique_fd.h"
#include "transports/stream/connected_socket.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_transport.h"

namespace transportd {

// Calls `done` exactly once, in a later turn than Open, Fail or Cancel, as the last thing it does.
// shared_ptr: owned by the operation that it ends; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class TransportOpener final : public std::enable_shared_from_this<TransportOpener> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Connection>)>;

  // `context` must outlive this.
  TransportOpener(LoopContext& context, ProtocolFactory factory, Done done);

  // Once, and not after Fail. Calls the factory, which may cancel; then `make`, with the protocol. ConnectionMade comes
  // in a later turn, or when the handshake of its layer is done, `done` in the one after that, then data. When the
  // handshake fails, `done` gets the error and the protocol hears nothing.
  using Make = absl::AnyInvocable<std::shared_ptr<StreamTransport>(std::shared_ptr<BaseProtocol>)>;
  void Open(Make make);
  // The same with MakeConnectedSocketTransport.
  void Open(UniqueFd fd, ConnectedSocketOptions options);

  // The end with an error; replaces an earlier outcome. Nothing after `done`.
  void Fail(absl::Status status);

  // Fails with CANCELLED / CANCELLED. A transport that is there is aborted; its protocol hears of the end.
  void Cancel();

 private:
  void Deliver();

  LoopContext& context_;
  ProtocolFactory factory_;
  Done done_;
  std::shared_ptr<StreamTransport> transport_;
  // Set at the end; Deliver is then queued.
  std::optional<absl::StatusOr<Connection>> result_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_TRANSPORT_OPENER_H_
