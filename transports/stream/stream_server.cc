#include "transports/stream/stream_server.h"

#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/socket_option_table.h"
#include "transports/stream/connected_socket.h"

namespace transportd {
namespace {

absl::Status ServerClosed() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "SERVER_CLOSED", "the server is closed");
}

}  // namespace

std::shared_ptr<StreamServer> StreamServer::Create(LoopContext& context, std::vector<BoundSocket> sockets,
                                                   ProtocolFactory factory, Options options) {
  CHECK(!sockets.empty());
  // Not make_shared: the constructor is private.
  std::shared_ptr<StreamServer> server(
      new StreamServer(context, std::move(sockets), std::move(factory), std::move(options)));
  context.servers().Add(server);
  return server;
}

StreamServer::StreamServer(LoopContext& context, std::vector<BoundSocket> sockets, ProtocolFactory factory,
                           Options options)
    : context_(&context), factory_(std::move(factory)), options_(std::move(options)) {
  AssertInLoopThread();
  acceptors_.reserve(sockets.size());
  for (BoundSocket& socket : sockets) {
    acceptors_.push_back(
        std::make_unique<Acceptor>(context, this, std::move(socket.fd), std::move(socket.address),
                                   Acceptor::Options{.backlog = options_.backlog, .gate = options_.gate.get()},
                                   [this](Acceptor::Accepted accepted) { OnAccepted(std::move(accepted)); }));
  }
}

StreamServer::~StreamServer() { CHECK(is_closed_); }

absl::Status StreamServer::Listen() {
  AssertInLoopThread();
  if (is_closed_) return ServerClosed();
  if (is_listening_) return absl::OkStatus();
  for (const auto& acceptor : acceptors_) {
    if (absl::Status status = acceptor->Listen(); !status.ok()) return status;
  }
  is_listening_ = true;
  return absl::OkStatus();
}

void StreamServer::StartAccepting() {
  AssertInLoopThread();
  if (!IsServing()) return;
  for (const auto& acceptor : acceptors_) acceptor->StartAccepting();
}

void StreamServer::StartServing(absl::AnyInvocable<void(absl::Status)> done) {
  absl::Status status = Listen();
  StartAccepting();
  done(std::move(status));
}

bool StreamServer::IsServing() const { return is_listening_ && !is_closed_; }

void StreamServer::OnAccepted(Acceptor::Accepted accepted) {
  std::shared_ptr<BaseProtocol> protocol = factory_();
  CHECK(protocol != nullptr);
  if (is_closed_) return;  // By the factory.
  const auto transport = MakeConnectedSocketTransport(
      *context_, std::move(accepted.fd), std::move(protocol),
      {.write_buffer_limits = options_.write_buffer_limits,
       .kind = accepted.kind,
       .sockname = std::move(accepted.sockname),
       .peername = std::move(accepted.peername),
       .layer = options_.layer,
       .on_lost = [self = shared_from_this()](StreamTransport& lost) { self->OnTransportLost(lost); }});
  transports_.insert(transport.get());
  transport->Start();
}

void StreamServer::OnTransportLost(StreamTransport& transport) {
  transports_.erase(&transport);
  FinishIfDone();
}

void StreamServer::Close(absl::AnyInvocable<void()> done) {
  AssertInLoopThread();
  const bool was_closed = std::exchange(is_closed_, true);
  CallOnClosing();
  // Closed and not destroyed: an acceptor may be what called.
  for (const auto& acceptor : acceptors_) acceptor->Close();
  if (done) done();
  if (!was_closed) FinishIfDone();
}

void StreamServer::CallOnClosing() {
  if (auto on_closing = std::exchange(options_.on_closing, nullptr)) on_closing();
}

void StreamServer::FinishIfDone() {
  if (!is_closed_ || !transports_.empty() || context_ == nullptr) return;
  context_->reactor().DeferredDelete(context_->servers().Remove(this));
  for (auto& waiter : std::exchange(closed_waiters_, {})) waiter();
}

void StreamServer::WaitClosed(absl::AnyInvocable<void()> done) {
  AssertInLoopThread();
  if (is_closed_ && transports_.empty()) {
    done();
  } else {
    closed_waiters_.push_back(std::move(done));
  }
}

void StreamServer::CloseClients(absl::AnyInvocable<void(size_t)> done) {
  AssertInLoopThread();
  size_t count = 0;
  // Close calls no protocol, and ends no transport before a later turn.
  for (StreamTransport* const transport : transports_) {
    if (transport->IsClosing()) continue;
    transport->Close();
    ++count;
  }
  if (done) done(count);
}

void StreamServer::AbortClients(absl::AnyInvocable<void(size_t)> done) {
  AssertInLoopThread();
  size_t count = 0;
  for (StreamTransport* const transport : transports_) {
    if (transport->IsEnding()) continue;
    transport->Abort(/*reset=*/false);
    ++count;
  }
  if (done) done(count);
}

uint64_t StreamServer::RefusedCount() const {
  uint64_t count = 0;
  for (const auto& acceptor : acceptors_) count += acceptor->refused_count();
  return count;
}

std::vector<SocketAddress> StreamServer::Sockets() const {
  std::vector<SocketAddress> addresses;
  if (is_closed_) return addresses;
  for (const auto& acceptor : acceptors_) addresses.push_back(acceptor->address());
  return addresses;
}

void StreamServer::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  AssertInLoopThread();
  done(is_closed_ ? absl::StatusOr<int>(ServerClosed()) : GetSocketOption(acceptors_.front()->fd(), option));
}

void StreamServer::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  absl::Status status = is_closed_ ? ServerClosed() : absl::OkStatus();
  for (auto it = acceptors_.begin(); status.ok() && it != acceptors_.end(); ++it) {
    status = SetSocketOption((*it)->fd(), option, value);
  }
  done(std::move(status));
}

void StreamServer::OnLoopDestroyed() {
  is_closed_ = true;
  CallOnClosing();
  acceptors_.clear();
  transports_.clear();
  context_ = nullptr;
  // Moved out, because what they own may call back.
  const auto waiters = std::exchange(closed_waiters_, {});
  const auto factory = std::exchange(factory_, nullptr);
}

void StreamServer::AssertInLoopThread() const {
  if (context_ != nullptr) context_->reactor().AssertInLoopThread();
}

}  // namespace transportd
