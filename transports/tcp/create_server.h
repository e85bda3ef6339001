// create_server: resolve, bind, listen.
#ifndef TRANSPORTD_TRANSPORTS_TCP_CREATE_SERVER_H_
#define TRANSPORTD_TRANSPORTS_TCP_CREATE_SERVER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "transports/api/event_loop.h"
#include "transports/base/operation.h"
#include "transports/resolver/loop_resolver.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/server_opener.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way.
// Threading: loop thread only.
class CreateServerOperation final : public Operation {
 public:
  // `context` and `resolver` must outlive this. `layer`: see ConnectedSocketOptions.
  CreateServerOperation(LoopContext& context, LoopResolver& resolver, ProtocolFactory factory,
                        CreateServerOptions options, std::shared_ptr<const StreamLayer> layer, ServerOpener::Done done);
  ~CreateServerOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  void Resolve();
  // `addresses`: all that the hosts resolved to.
  void Bind(const std::vector<SocketAddress>& addresses);
  // The end: `status` is not OK.
  void Fail(absl::Status status);
  // Calls off whatever is under way.
  void TearDown();

  LoopContext& context_;
  LoopResolver& resolver_;
  const CreateServerOptions options_;
  const std::shared_ptr<const StreamLayer> layer_;
  // shared_ptr: owned by this.
  const std::shared_ptr<ServerOpener> opener_;

  TimerId deadline_ = 0;
  std::vector<LoopResolver::RequestId> requests_;
  // One for each host, in the order of the hosts; and how many are still to come.
  std::vector<std::vector<SocketAddress>> resolved_;
  size_t unresolved_count_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_CREATE_SERVER_H_
