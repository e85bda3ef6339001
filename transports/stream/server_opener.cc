#include "transports/stream/server_opener.h"

#include <utility>

#include "transports/api/error.h"

namespace transportd {

ServerOpener::ServerOpener(LoopContext& context, ProtocolFactory factory, Done done)
    : context_(context), factory_(std::move(factory)), done_(std::move(done)) {}

void ServerOpener::Open(std::vector<BoundSocket> sockets, Options options) {
  auto server = StreamServer::Create(context_, std::move(sockets), std::move(factory_), std::move(options.server));
  if (options.start_serving) {
    if (absl::Status status = server->Listen(); !status.ok()) {
      server->Close(nullptr);
      Finish(std::move(status));
      return;
    }
  }
  Finish(std::move(server));
}

void ServerOpener::Fail(absl::Status status) {
  if (done_) Finish(std::move(status));
}

void ServerOpener::Cancel() {
  if (!done_) return;
  if (result_ && result_->ok()) (**result_)->Close(nullptr);
  Finish(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"));
}

void ServerOpener::Finish(absl::StatusOr<std::shared_ptr<StreamServer>> result) {
  const bool is_queued = result_.has_value();
  result_ = std::move(result);
  if (is_queued) return;
  context_.reactor().CallSoon([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
}

void ServerOpener::Deliver() {
  absl::StatusOr<std::shared_ptr<StreamServer>> result = *std::move(result_);
  Done done = std::exchange(done_, nullptr);
  if (!result.ok()) {
    done(result.status());
    return;
  }
  const std::shared_ptr<StreamServer> server = *std::move(result);
  // Accepting begins in the next turn, so that no protocol is made before `done` has been called; and before `done`,
  // because that may destroy anything.
  server->StartAccepting();
  done(std::shared_ptr<Server>(server));
}

}  // namespace transportd
