#include "transports/unix/create_unix_server.h"

#include <utility>
#include <vector>

#include "transports/base/gated_path.h"
#include "transports/unix/create_unix_options.h"
#include "transports/unix/socket_file.h"

namespace transportd {

CreateUnixServerOperation::CreateUnixServerOperation(LoopContext& context, ProtocolFactory factory,
                                                     CreateUnixServerOptions options,
                                                     std::shared_ptr<const StreamLayer> layer, ServerOpener::Done done)
    : context_(context),
      options_(std::move(options)),
      layer_(std::move(layer)),
      opener_(std::make_shared<ServerOpener>(context, std::move(factory), std::move(done))) {}

void CreateUnixServerOperation::Start() {
  if (absl::Status status = ValidateCreateUnixServer(options_); !status.ok()) return opener_->Fail(std::move(status));
  absl::StatusOr<BoundSocket> socket = BindUnixSocket({.family = AddressFamily::kUnix, .path = *options_.path},
                                                      options_.mode, context_.descriptor_limit(), options_.gate.get());
  if (!socket.ok()) return opener_->Fail(socket.status());
  std::vector<BoundSocket> sockets;
  sockets.push_back(*std::move(socket));
  absl::AnyInvocable<void()> on_closing;
  if (options_.cleanup_socket)
    on_closing =
        SocketFileRemover(*options_.path, ForbidsSymlinks(options_.gate.get()) ? Symlinks::kForbid : Symlinks::kFollow);
  opener_->Open(std::move(sockets), {.server = {.backlog = options_.backlog,
                                                .write_buffer_limits = options_.write_buffer_limits,
                                                .layer = layer_,
                                                .gate = options_.gate,
                                                .on_closing = std::move(on_closing)},
                                     .start_serving = options_.start_serving});
}

}  // namespace transportd
