// The calls that make a transport of a connected socket: connect_accepted_socket, and `sock` in the others.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_CONNECT_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_STREAM_CONNECT_SOCKET_H_

#include <memory>

#include "absl/status/status.h"
#include "transports/api/event_loop.h"
#include "transports/api/existing_socket.h"
#include "transports/base/operation.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/transport_opener.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class ConnectSocketOperation final : public Operation, public std::enable_shared_from_this<ConnectSocketOperation> {
 public:
  struct Options {
    std::shared_ptr<ExistingSocket> sock;  // Not null; what ValidateSocket found good, when `arguments` is OK.
    absl::Status arguments;                // Not OK: the end; the socket is not touched.
    WriteBufferLimits write_buffer_limits = {};
    std::shared_ptr<const StreamLayer> layer = {};  // See ConnectedSocketOptions.
  };
  // `context` must outlive this.
  ConnectSocketOperation(LoopContext& context, ProtocolFactory factory, Options options, TransportOpener::Done done);

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  LoopContext& context_;
  Options options_;
  // shared_ptr: owned by this.
  const std::shared_ptr<TransportOpener> opener_;
  // Taken over, and not a transport yet.
  UniqueFd fd_;
};

// What ConnectAcceptedSocket asks of its options: INVALID_SOCKET, INVALID_LIMITS.
absl::Status ValidateConnectAcceptedSocket(const ConnectAcceptedSocketOptions& options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_CONNECT_SOCKET_H_
