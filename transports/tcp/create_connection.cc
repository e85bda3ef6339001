#include "transports/tcp/create_connection.h"

#include <netinet/in.h>

#include <utility>

#include "transports/api/error.h"
#include "transports/base/aggregate_errors.h"
#include "transports/base/check.h"
#include "transports/stream/connected_socket.h"
#include "transports/tcp/create_options.h"
#include "transports/tcp/interleave.h"

namespace transportd {

CreateConnectionOperation::CreateConnectionOperation(LoopContext& context, LoopResolver& resolver,
                                                     ProtocolFactory factory, CreateConnectionOptions options,
                                                     std::shared_ptr<const StreamLayer> layer,
                                                     TransportOpener::Done done)
    : context_(context),
      resolver_(resolver),
      options_(std::move(options)),
      layer_(std::move(layer)),
      opener_(std::make_shared<TransportOpener>(context, std::move(factory), std::move(done))) {}

CreateConnectionOperation::~CreateConnectionOperation() { TearDown(); }

void CreateConnectionOperation::Start() {
  if (absl::Status status = ValidateCreateConnection(options_); !status.ok()) {
    Fail(std::move(status));
    return;
  }
  deadline_ = context_.reactor().CallLater(options_.timeout.value_or(kDefaultCreateTimeout), [this] {
    deadline_ = 0;
    OnTimeout();
  });
  Resolve();
}

void CreateConnectionOperation::Resolve() {
  const auto request = [this](const HostPort& address) {
    // A port that is unset is 0: getaddrinfo(3) refuses to be asked for nothing at all.
    return ResolveRequest{.address = {.host = address.host, .port = address.port.value_or(0)},
                          .family = options_.family,
                          .flags = options_.flags,
                          .proto = options_.proto};
  };
  const auto keep = [this](std::optional<std::vector<SocketAddress>>& place) {
    return [this, &place](absl::StatusOr<std::vector<SocketAddress>> addresses) {
      if (!addresses.ok()) {
        Fail(addresses.status());
        return;
      }
      place = *std::move(addresses);
      if (remotes_ && (locals_ || !options_.local)) Connect();
    };
  };
  remote_request_ = resolver_.Resolve(request(options_.remote), options_.asker, keep(remotes_));
  if (options_.local) {
    local_request_ = resolver_.Resolve(request(*options_.local), options_.asker, keep(locals_));
  }
}

void CreateConnectionOperation::Connect() {
  const uint32_t interleave = options_.interleave.value_or(options_.happy_eyeballs_delay ? 1 : 0);
  connector_ =
      std::make_unique<Connector>(context_.reactor(),
                                  Connector::Options{.remotes = InterleaveAddresses(*std::move(remotes_), interleave),
                                                     .locals = std::move(locals_),
                                                     .delay = options_.happy_eyeballs_delay,
                                                     .descriptor_limit = context_.descriptor_limit(),
                                                     .gate = options_.gate.get()},
                                  [this](UniqueFd fd, AddressFamily family) { OnConnected(std::move(fd), family); });
  connector_->Start();
}

void CreateConnectionOperation::OnConnected(UniqueFd fd, AddressFamily family) {
  if (!fd.valid()) {
    Fail(AggregateErrors(connector_->Errors()));
    return;
  }
  TearDown();
  opener_->Open(std::move(fd), {.write_buffer_limits = options_.write_buffer_limits,
                                .kind = SocketKind{.family = family, .type = SocketType::kStream, .proto = IPPROTO_TCP},
                                .layer = layer_,
                                .on_lost = {}});
}

void CreateConnectionOperation::OnTimeout() {
  TransportError error;
  error.code = absl::StatusCode::kDeadlineExceeded;
  error.reason = "CONNECT_TIMEOUT";
  error.message = "no connection within the time allowed";
  error.operation = "connect";
  if (connector_ != nullptr) error.causes = connector_->Errors();
  Fail(ToStatus(error));
}

void CreateConnectionOperation::Cancel() {
  TearDown();
  opener_->Cancel();
}

void CreateConnectionOperation::Fail(absl::Status status) {
  TearDown();
  opener_->Fail(std::move(status));
}

void CreateConnectionOperation::TearDown() {
  if (deadline_ != 0) context_.reactor().CancelTimer(std::exchange(deadline_, 0));
  resolver_.Cancel(std::exchange(remote_request_, 0));
  resolver_.Cancel(std::exchange(local_request_, 0));
  // Not destroyed: it may be what called.
  if (connector_ != nullptr) connector_->Cancel();
}

}  // namespace transportd
