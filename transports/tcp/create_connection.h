// create_connection: resolve, connect, make the transport.
#ifndef TRANSPORTD_TRANSPORTS_TCP_CREATE_CONNECTION_H_
#define TRANSPORTD_TRANSPORTS_TCP_CREATE_CONNECTION_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_transport.h"
#include "transports/tcp/connector.h"
#include "transports/tcp/loop_resolver.h"
#include "transports/tcp/operation.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class CreateConnectionOperation final : public Operation,
                                        public std::enable_shared_from_this<CreateConnectionOperation> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Connection>)>;

  // `context` and `resolver` must outlive this.
  CreateConnectionOperation(LoopContext& context, LoopResolver& resolver, ProtocolFactory factory,
                            CreateConnectionOptions options, Done done);
  ~CreateConnectionOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  void Resolve();
  void Connect();
  void OnConnected(UniqueFd fd);
  void OnTimeout();
  // The end: `status` is not OK.
  void Fail(absl::Status status);
  void Deliver();
  // Closes and calls off whatever is under way.
  void TearDown();

  LoopContext& context_;
  LoopResolver& resolver_;
  ProtocolFactory factory_;
  const CreateConnectionOptions options_;
  Done done_;

  TimerId deadline_ = 0;
  LoopResolver::RequestId remote_request_ = 0;
  LoopResolver::RequestId local_request_ = 0;
  std::optional<std::vector<SocketAddress>> remotes_;
  std::optional<std::vector<SocketAddress>> locals_;
  std::unique_ptr<Connector> connector_;
  std::shared_ptr<StreamTransport> transport_;
  // Set at the end; Deliver is then queued.
  std::optional<absl::StatusOr<Connection>> result_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_CREATE_CONNECTION_H_
