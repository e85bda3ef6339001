// The calls that make a server of a bound socket: `sock` in create_server and create_unix_server.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_SERVE_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_STREAM_SERVE_SOCKET_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/event_loop.h"
#include "transports/api/existing_socket.h"
#include "transports/base/operation.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/server_opener.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way.
// Threading: loop thread only.
class ServeSocketOperation final : public Operation {
 public:
  struct Options {
    std::shared_ptr<ExistingSocket> sock;  // Not null; what ValidateSocket found good, when `arguments` is OK.
    absl::Status arguments;                // Not OK: the end; the socket is not touched.
    ServerOpener::Options server;
    // Of a socket that was taken over: what to do just before it is closed; null: nothing.
    absl::AnyInvocable<absl::AnyInvocable<void()>(const BoundSocket&)> make_on_closing;
  };
  // `context` must outlive this.
  ServeSocketOperation(LoopContext& context, ProtocolFactory factory, Options options, ServerOpener::Done done);

  // Operation
  void Start() override;
  void Cancel() override { opener_->Cancel(); }

 private:
  Options options_;
  // shared_ptr: owned by this.
  const std::shared_ptr<ServerOpener> opener_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_SERVE_SOCKET_H_
