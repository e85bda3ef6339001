#include "transports/datagram/create_datagram_endpoint.h"

#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/datagram/datagram_options.h"

namespace transportd {
namespace {

std::optional<SocketAddress> UnixAddress(const std::optional<std::string>& path) {
  if (!path) return std::nullopt;
  return SocketAddress{.family = AddressFamily::kUnix, .path = *path};
}

}  // namespace

CreateDatagramEndpointOperation::CreateDatagramEndpointOperation(LoopContext& context, LoopResolver& resolver,
                                                                 DatagramProtocolFactory factory,
                                                                 CreateDatagramEndpointOptions options, Done done)
    : context_(context),
      resolver_(resolver),
      factory_(std::move(factory)),
      options_(std::move(options)),
      done_(std::move(done)) {}

CreateDatagramEndpointOperation::~CreateDatagramEndpointOperation() { TearDown(); }

void CreateDatagramEndpointOperation::Start() {
  if (absl::Status status = ValidateCreateDatagramEndpoint(options_); !status.ok()) {
    Fail(std::move(status));
    return;
  }
  if (options_.local || options_.remote) {
    Resolve();
    return;
  }
  // In a later turn, as when something was resolved.
  context_.reactor().CallSoon([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr || self->result_) return;
    const bool has_path = self->options_.local_path || self->options_.remote_path;
    self->Open({{.family = has_path ? AddressFamily::kUnix : self->options_.family,
                 .local = UnixAddress(self->options_.local_path),
                 .remote = UnixAddress(self->options_.remote_path)}});
  });
}

void CreateDatagramEndpointOperation::Resolve() {
  deadline_ = context_.reactor().CallLater(options_.timeout.value_or(kDefaultCreateTimeout), [this] {
    deadline_ = 0;
    Fail(MakeError(absl::StatusCode::kDeadlineExceeded, "RESOLVE_TIMEOUT", "no address within the time allowed"));
  });
  const auto resolve = [this](const HostPort& address, std::optional<std::vector<SocketAddress>>& place) {
    // A port that is unset is 0: getaddrinfo(3) refuses to be asked for nothing at all. The protocol is not told: the
    // resolver asks for streams, whose addresses are the same.
    return resolver_.Resolve({.address = {.host = address.host, .port = address.port.value_or(0)},
                              .family = options_.family,
                              .flags = options_.flags},
                             options_.asker, [this, &place](absl::StatusOr<std::vector<SocketAddress>> addresses) {
                               if (!addresses.ok()) {
                                 Fail(addresses.status());
                                 return;
                               }
                               place = *std::move(addresses);
                               OnResolved();
                             });
  };
  if (options_.local) local_request_ = resolve(*options_.local, locals_);
  if (options_.remote) remote_request_ = resolve(*options_.remote, remotes_);
}

void CreateDatagramEndpointOperation::OnResolved() {
  if (locals_.has_value() != options_.local.has_value() || remotes_.has_value() != options_.remote.has_value()) return;
  Open(PairAddresses(locals_, remotes_));
}

void CreateDatagramEndpointOperation::Open(const std::vector<EndpointAddresses>& candidates) {
  if (candidates.empty()) {
    Fail(InvalidArgument("NO_MATCHING_LOCAL_ADDRESS", "local", "no address of the family of the remote one was found"));
    return;
  }
  absl::StatusOr<EndpointSocket> socket =
      OpenEndpointSocket(candidates, {.reuse_port = options_.reuse_port,
                                      .allow_broadcast = options_.allow_broadcast,
                                      .descriptor_limit = context_.descriptor_limit(),
                                      .gate = options_.gate.get()});
  if (!socket.ok()) {
    Fail(socket.status());
    return;
  }
  std::shared_ptr<DatagramProtocol> protocol = factory_();
  CHECK(protocol != nullptr);
  if (result_) return;  // Cancelled by the factory.
  TearDown();
  transport_ =
      SocketDatagramTransport::Create(context_, std::move(socket->fd), socket->addresses.family, protocol,
                                      {.local = std::move(socket->addresses.local),
                                       .remote = std::move(socket->addresses.remote),
                                       .write_buffer_marks = *ResolveWriteBufferLimits(options_.write_buffer_limits),
                                       .gate = options_.gate});
  result_ = DatagramEndpoint{.transport = transport_, .protocol = std::move(protocol)};
  transport_->Start([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
}

void CreateDatagramEndpointOperation::Cancel() {
  if (!done_) return;
  // Its protocol, which may have seen ConnectionMade already, hears of the end.
  if (transport_ != nullptr) transport_->Abort();
  Fail(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"));
}

void CreateDatagramEndpointOperation::Fail(absl::Status status) {
  TearDown();
  const bool is_queued = result_.has_value();
  result_ = std::move(status);
  if (is_queued) return;
  context_.reactor().CallSoon([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
}

void CreateDatagramEndpointOperation::Deliver() {
  transport_.reset();
  std::exchange(done_, nullptr)(*std::move(result_));
}

void CreateDatagramEndpointOperation::TearDown() {
  if (deadline_ != 0) context_.reactor().CancelTimer(std::exchange(deadline_, 0));
  resolver_.Cancel(std::exchange(local_request_, 0));
  resolver_.Cancel(std::exchange(remote_request_, 0));
}

}  // namespace transportd
