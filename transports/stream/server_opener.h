// The end of every call that opens a server over bound sockets: the server, listening, `done`.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_SERVER_OPENER_H_
#define TRANSPORTD_TRANSPORTS_STREAM_SERVER_OPENER_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_server.h"

namespace transportd {

// Calls `done` exactly once, in a later turn than Open, Fail or Cancel, as the last thing it does.
// shared_ptr: owned by the operation that it ends; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class ServerOpener final : public std::enable_shared_from_this<ServerOpener> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)>;
  struct Options {
    StreamServer::Options server;
    bool start_serving = true;
  };

  // `context` must outlive this.
  ServerOpener(LoopContext& context, ProtocolFactory factory, Done done);

  // Once, and not after Fail. Makes the server of `sockets` (not empty), which listens at once when it is to serve and
  // accepts in the turn after `done`. When listen(2) fails, that is the end, and no socket stays.
  void Open(std::vector<BoundSocket> sockets, Options options);

  // The end with an error; replaces an earlier outcome. Nothing after `done`.
  void Fail(absl::Status status);

  // Fails with CANCELLED / CANCELLED. A server that is there is closed.
  void Cancel();

 private:
  void Finish(absl::StatusOr<std::shared_ptr<StreamServer>> result);
  void Deliver();

  LoopContext& context_;
  ProtocolFactory factory_;
  Done done_;
  // Set at the end; Deliver is then queued.
  std::optional<absl::StatusOr<std::shared_ptr<StreamServer>>> result_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_SERVER_OPENER_H_
