// create_unix_server on a path: bind, listen.
#ifndef TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_SERVER_H_
#define TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_SERVER_H_

#include <memory>

#include "transports/api/unix.h"
#include "transports/base/operation.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/server_opener.h"

namespace transportd {

// With `sock`, ServeSocketOperation is the one. shared_ptr: owned by the loop, while it is under way.
// Threading: loop thread only.
class CreateUnixServerOperation final : public Operation {
 public:
  // `context` must outlive this. `layer`: see ConnectedSocketOptions.
  CreateUnixServerOperation(LoopContext& context, ProtocolFactory factory, CreateUnixServerOptions options,
                            std::shared_ptr<const StreamLayer> layer, ServerOpener::Done done);

  // Operation
  void Start() override;
  void Cancel() override { opener_->Cancel(); }

 private:
  LoopContext& context_;
  const CreateUnixServerOptions options_;
  const std::shared_ptr<const StreamLayer> layer_;
  // shared_ptr: owned by this.
  const std::shared_ptr<ServerOpener> opener_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_SERVER_H_
