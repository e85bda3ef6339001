// create_connection: resolve, connect, make the transport.
#ifndef TRANSPORTD_TRANSPORTS_TCP_CREATE_CONNECTION_H_
#define TRANSPORTD_TRANSPORTS_TCP_CREATE_CONNECTION_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "transports/api/event_loop.h"
#include "transports/base/operation.h"
#include "transports/resolver/loop_resolver.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/transport_opener.h"
#include "transports/tcp/connector.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way.
// Threading: loop thread only.
class CreateConnectionOperation final : public Operation {
 public:
  // `context` and `resolver` must outlive this. `layer`: see ConnectedSocketOptions.
  CreateConnectionOperation(LoopContext& context, LoopResolver& resolver, ProtocolFactory factory,
                            CreateConnectionOptions options, std::shared_ptr<const StreamLayer> layer,
                            TransportOpener::Done done);
  ~CreateConnectionOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  void Resolve();
  void Connect();
  void OnConnected(UniqueFd fd, AddressFamily family);
  void OnTimeout();
  // The end: `status` is not OK.
  void Fail(absl::Status status);
  // Closes and calls off whatever is under way.
  void TearDown();

  LoopContext& context_;
  LoopResolver& resolver_;
  const CreateConnectionOptions options_;
  const std::shared_ptr<const StreamLayer> layer_;
  // shared_ptr: owned by this.
  const std::shared_ptr<TransportOpener> opener_;

  TimerId deadline_ = 0;
  LoopResolver::RequestId remote_request_ = 0;
  LoopResolver::RequestId local_request_ = 0;
  std::optional<std::vector<SocketAddress>> remotes_;
  std::optional<std::vector<SocketAddress>> locals_;
  std::unique_ptr<Connector> connector_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_CREATE_CONNECTION_H_
