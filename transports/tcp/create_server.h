// create_server: resolve, bind, listen.
#ifndef TRANSPORTD_TRANSPORTS_TCP_CREATE_SERVER_H_
#define TRANSPORTD_TRANSPORTS_TCP_CREATE_SERVER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/stream/loop_context.h"
#include "transports/tcp/loop_resolver.h"
#include "transports/tcp/operation.h"
#include "transports/tcp/tcp_server.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class CreateServerOperation final : public Operation, public std::enable_shared_from_this<CreateServerOperation> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)>;

  // `context` and `resolver` must outlive this.
  CreateServerOperation(LoopContext& context, LoopResolver& resolver, ProtocolFactory factory,
                        CreateServerOptions options, Done done);
  ~CreateServerOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  void Resolve();
  // `addresses`: all that the hosts resolved to.
  void Bind(const std::vector<SocketAddress>& addresses);
  // The end: `result` is the server or an error.
  void Finish(absl::StatusOr<std::shared_ptr<TcpServer>> result);
  void Deliver();
  void TearDown();

  LoopContext& context_;
  LoopResolver& resolver_;
  ProtocolFactory factory_;
  const CreateServerOptions options_;
  Done done_;

  TimerId deadline_ = 0;
  std::vector<LoopResolver::RequestId> requests_;
  // One for each host, in the order of the hosts; and how many are still to come.
  std::vector<std::vector<SocketAddress>> resolved_;
  size_t unresolved_count_ = 0;
  // Set at the end; Deliver is then queued.
  std::optional<absl::StatusOr<std::shared_ptr<TcpServer>>> result_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_CREATE_SERVER_H_
