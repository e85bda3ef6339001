#include "transports/tcp/create_server.h"

#include <netdb.h>

#include <utility>

#include "transports/api/error.h"
#include "transports/tcp/bind.h"
#include "transports/tcp/create_options.h"

namespace transportd {

CreateServerOperation::CreateServerOperation(LoopContext& context, LoopResolver& resolver, ProtocolFactory factory,
                                             CreateServerOptions options, Done done)
    : context_(context),
      resolver_(resolver),
      factory_(std::move(factory)),
      options_(std::move(options)),
      done_(std::move(done)) {}

CreateServerOperation::~CreateServerOperation() { TearDown(); }

void CreateServerOperation::Start() {
  if (absl::Status status = ValidateCreateServer(options_); !status.ok()) {
    Finish(std::move(status));
    return;
  }
  deadline_ = context_.reactor().CallLater(options_.timeout.value_or(kDefaultCreateTimeout), [this] {
    deadline_ = 0;
    Finish(MakeError(absl::StatusCode::kDeadlineExceeded, "BIND_TIMEOUT", "the hosts were not resolved in time"));
  });
  Resolve();
}

void CreateServerOperation::Resolve() {
  const std::vector<std::string> hosts = options_.hosts.empty() ? std::vector<std::string>{""} : options_.hosts;
  resolved_.resize(hosts.size());
  unresolved_count_ = hosts.size();
  for (size_t i = 0; i < hosts.size(); ++i) {
    ResolveRequest request{.address = {.host = {}, .port = options_.port.value_or(0)},
                           .family = options_.family,
                           .flags = options_.flags.value_or(AI_PASSIVE),
                           .proto = 0};
    if (!hosts[i].empty()) request.address.host = hosts[i];
    requests_.push_back(
        resolver_.Resolve(std::move(request), [this, i](absl::StatusOr<std::vector<SocketAddress>> addresses) {
          if (!addresses.ok()) {
            Finish(addresses.status());
            return;
          }
          resolved_[i] = *std::move(addresses);
          if (--unresolved_count_ > 0) return;
          std::vector<SocketAddress> all;
          for (const auto& of_one_host : resolved_) all.insert(all.end(), of_one_host.begin(), of_one_host.end());
          Bind(all);
        }));
  }
}

void CreateServerOperation::Bind(const std::vector<SocketAddress>& addresses) {
  absl::StatusOr<std::vector<BoundSocket>> sockets = BindAll(addresses, options_, context_.descriptor_limit());
  if (!sockets.ok()) {
    Finish(sockets.status());
    return;
  }
  auto server = TcpServer::Create(
      context_, *std::move(sockets), std::move(factory_),
      {.backlog = options_.backlog, .write_buffer_marks = *ResolveWriteBufferLimits(options_.write_buffer_limits)});
  if (options_.start_serving) {
    if (absl::Status status = server->Listen(); !status.ok()) {
      server->Close(nullptr);
      Finish(std::move(status));
      return;
    }
  }
  Finish(std::move(server));
}

void CreateServerOperation::Cancel() {
  if (!done_) return;
  if (result_ && result_->ok()) (**result_)->Close(nullptr);
  Finish(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"));
}

void CreateServerOperation::Finish(absl::StatusOr<std::shared_ptr<TcpServer>> result) {
  TearDown();
  const bool is_queued = result_.has_value();
  result_ = std::move(result);
  if (is_queued) return;
  context_.reactor().CallSoon([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
}

void CreateServerOperation::Deliver() {
  absl::StatusOr<std::shared_ptr<TcpServer>> result = *std::move(result_);
  Done done = std::exchange(done_, nullptr);
  if (!result.ok()) {
    done(result.status());
    return;
  }
  const std::shared_ptr<TcpServer> server = *std::move(result);
  // Accepting begins in the next turn, so that no protocol is made before `done` has been called; and before `done`,
  // because that may destroy anything.
  server->StartAccepting();
  done(std::shared_ptr<Server>(server));
}

void CreateServerOperation::TearDown() {
  if (deadline_ != 0) context_.reactor().CancelTimer(std::exchange(deadline_, 0));
  for (const LoopResolver::RequestId request : std::exchange(requests_, {})) resolver_.Cancel(request);
}

}  // namespace transportd
