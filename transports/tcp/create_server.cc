#include "transports/tcp/create_server.h"

#include <netdb.h>

#include <utility>

#include "transports/api/error.h"
#include "transports/tcp/bind.h"
#include "transports/tcp/create_options.h"

namespace transportd {

CreateServerOperation::CreateServerOperation(LoopContext& context, LoopResolver& resolver, ProtocolFactory factory,
                                             CreateServerOptions options, std::shared_ptr<const StreamLayer> layer,
                                             ServerOpener::Done done)
    : context_(context),
      resolver_(resolver),
      options_(std::move(options)),
      layer_(std::move(layer)),
      opener_(std::make_shared<ServerOpener>(context, std::move(factory), std::move(done))) {}

CreateServerOperation::~CreateServerOperation() { TearDown(); }

void CreateServerOperation::Start() {
  if (absl::Status status = ValidateCreateServer(options_); !status.ok()) {
    Fail(std::move(status));
    return;
  }
  deadline_ = context_.reactor().CallLater(options_.timeout.value_or(kDefaultCreateTimeout), [this] {
    deadline_ = 0;
    Fail(MakeError(absl::StatusCode::kDeadlineExceeded, "BIND_TIMEOUT", "the hosts were not resolved in time"));
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
    requests_.push_back(resolver_.Resolve(std::move(request), options_.asker,
                                          [this, i](absl::StatusOr<std::vector<SocketAddress>> addresses) {
                                            if (!addresses.ok()) {
                                              Fail(addresses.status());
                                              return;
                                            }
                                            resolved_[i] = *std::move(addresses);
                                            if (--unresolved_count_ > 0) return;
                                            std::vector<SocketAddress> all;
                                            for (const auto& of_one_host : resolved_)
                                              all.insert(all.end(), of_one_host.begin(), of_one_host.end());
                                            Bind(all);
                                          }));
  }
}

void CreateServerOperation::Bind(const std::vector<SocketAddress>& addresses) {
  absl::StatusOr<std::vector<BoundSocket>> sockets = BindAll(addresses, options_, context_.descriptor_limit());
  if (!sockets.ok()) {
    Fail(sockets.status());
    return;
  }
  TearDown();
  opener_->Open(*std::move(sockets), {.server = {.backlog = options_.backlog,
                                                 .write_buffer_limits = options_.write_buffer_limits,
                                                 .layer = layer_,
                                                 .gate = options_.gate},
                                      .start_serving = options_.start_serving});
}

void CreateServerOperation::Cancel() {
  TearDown();
  opener_->Cancel();
}

void CreateServerOperation::Fail(absl::Status status) {
  TearDown();
  opener_->Fail(std::move(status));
}

void CreateServerOperation::TearDown() {
  if (deadline_ != 0) context_.reactor().CancelTimer(std::exchange(deadline_, 0));
  for (const LoopResolver::RequestId request : std::exchange(requests_, {})) resolver_.Cancel(request);
}

}  // namespace transportd
