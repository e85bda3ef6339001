// connect_read_pipe and connect_write_pipe: open, make the transport.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_CONNECT_PIPE_H_
#define TRANSPORTD_TRANSPORTS_PIPE_CONNECT_PIPE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/base/operation.h"
#include "transports/pipe/inherited_pipes.h"
#include "transports/pipe/pipe_kind.h"
#include "transports/reactor/loop_executor.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/transport_opener.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class ConnectPipeOperation final : public Operation, public std::enable_shared_from_this<ConnectPipeOperation> {
 public:
  // `context` and `executor` must outlive this, as must `inherited_pipes`; null: there are none.
  ConnectPipeOperation(LoopContext& context, LoopExecutor& executor, InheritedPipes* inherited_pipes,
                       PipeDirection direction, ProtocolFactory factory, ConnectPipeOptions options,
                       TransportOpener::Done done);
  ~ConnectPipeOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  void TakeInherited();
  void OnOpened(absl::StatusOr<OpenPipe> pipe);

  LoopContext& context_;
  LoopExecutor& executor_;
  InheritedPipes* const inherited_pipes_;
  const PipeDirection direction_;
  const ConnectPipeOptions options_;
  const std::shared_ptr<TransportOpener> opener_;

  LoopExecutor::WorkId work_ = 0;
  bool cancelled_ = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_CONNECT_PIPE_H_
