#include "transports/unix/create_unix_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/gated_path.h"
#include "transports/base/socket_place.h"
#include "transports/unix/create_unix_options.h"

namespace transportd {
namespace {

// Between two attempts at a full backlog: doubled each time.
constexpr Duration kFirstRetryDelay = std::chrono::milliseconds(1);
constexpr Duration kLongestRetryDelay = std::chrono::milliseconds(50);

}  // namespace

CreateUnixConnectionOperation::CreateUnixConnectionOperation(LoopContext& context, ProtocolFactory factory,
                                                             CreateUnixConnectionOptions options,
                                                             std::shared_ptr<const StreamLayer> layer,
                                                             TransportOpener::Done done)
    : context_(context),
      options_(std::move(options)),
      layer_(std::move(layer)),
      opener_(std::make_shared<TransportOpener>(context, std::move(factory), std::move(done))),
      retry_delay_(kFirstRetryDelay) {}

CreateUnixConnectionOperation::~CreateUnixConnectionOperation() { TearDown(); }

void CreateUnixConnectionOperation::Start() {
  if (absl::Status status = ValidateCreateUnixConnection(options_); !status.ok()) return Fail(std::move(status));
  address_ = {.family = AddressFamily::kUnix, .path = *options_.path};
  fd_ = AdmitSocket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), context_.descriptor_limit());
  const int err = errno;
  if (!fd_.valid()) return Fail(ErrnoToStatus(err, "socket", address_.ToString()));
  deadline_ = context_.reactor().CallLater(options_.timeout.value_or(kDefaultCreateTimeout), [this] {
    deadline_ = 0;
    OnTimeout();
  });
  Connect();
}

absl::Status CreateUnixConnectionOperation::AskToConnect() {
  SocketGate* const gate = options_.gate.get();
  if (gate == nullptr || allowed_generation_ == gate->Generation()) return absl::OkStatus();
  allowed_generation_ = gate->Generation();
  return gate->MayConnect(address_);
}

void CreateUnixConnectionOperation::Connect() {
  if (absl::Status status = AskToConnect(); !status.ok()) return Fail(std::move(status));
  const absl::StatusOr<SocketTarget> target = FindSocketTarget(
      address_, ForbidsSymlinks(options_.gate.get()) ? Symlinks::kForbid : Symlinks::kFollow, "connect");
  if (!target.ok()) return Fail(target.status());
  int err = 0;
  do {
    err = ::connect(fd_.get(), target->raw.get(), target->raw.length) == 0 ? 0 : errno;
  } while (err == EINTR);
  if (err == EAGAIN) {
    retry_ = context_.reactor().CallLater(retry_delay_, [this] {
      retry_ = 0;
      Connect();
    });
    retry_delay_ = std::min(2 * retry_delay_, kLongestRetryDelay);
    return;
  }
  if (err != 0) return Fail(ErrnoToStatus(err, "connect", address_.ToString()));
  // In a later turn, because it calls the factory.
  context_.reactor().CallSoon([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self != nullptr && self->fd_.valid()) self->Open();
  });
}

void CreateUnixConnectionOperation::Open() {
  UniqueFd fd = std::move(fd_);
  TearDown();
  ConnectedSocketOptions options{
      .write_buffer_limits = options_.write_buffer_limits, .layer = layer_, .on_lost = nullptr};
  // The kernel has the name by which the peer was bound: that of a folder's descriptor, perhaps.
  if (ForbidsSymlinks(options_.gate.get())) options.peername = address_;
  opener_->Open(std::move(fd), std::move(options));
}

void CreateUnixConnectionOperation::OnTimeout() {
  TransportError error;
  error.code = absl::StatusCode::kDeadlineExceeded;
  error.reason = "CONNECT_TIMEOUT";
  error.message = "no connection within the time allowed: the listener's backlog is full";
  error.operation = "connect";
  error.address = address_.ToString();
  error.causes.push_back(ToTransportError(ErrnoToStatus(EAGAIN, "connect", address_.ToString())));
  Fail(ToStatus(error));
}

void CreateUnixConnectionOperation::Cancel() {
  TearDown();
  opener_->Cancel();
}

void CreateUnixConnectionOperation::Fail(absl::Status status) {
  TearDown();
  opener_->Fail(std::move(status));
}

void CreateUnixConnectionOperation::TearDown() {
  if (deadline_ != 0) context_.reactor().CancelTimer(std::exchange(deadline_, 0));
  if (retry_ != 0) context_.reactor().CancelTimer(std::exchange(retry_, 0));
  fd_.Reset();
}

}  // namespace transportd
