#include "clients/cpp/remote_server.h"

#include <utility>

#include "clients/cpp/remote_socket_option.h"
#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

absl::Status ServerClosed() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "SERVER_CLOSED", "the server is closed");
}

absl::Status SocketLost() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_LOST", "the server is closed");
}

void CallAll(std::vector<absl::AnyInvocable<void()>> callbacks) {
  for (auto& callback : callbacks) callback();
}

}  // namespace

RemoteServer::RemoteServer(RemoteSession& session, uint32_t id, ProtocolFactory factory, WriteBufferMarks marks,
                           std::vector<SocketAddress> sockets, bool is_serving)
    : session_(&session),
      id_(id),
      factory_(std::move(factory)),
      marks_(marks),
      sockets_(std::move(sockets)),
      is_serving_(is_serving) {}

RemoteServer::~RemoteServer() { CHECK(session_ == nullptr); }

void RemoteServer::Accept(uint32_t transport_id, ExtraInfo extra_info) {
  // Accepted before the service heard of the end: as a connection that was still in the backlog, it is reset.
  if (state_ != State::kOpen) return session_->RefuseTransport(transport_id, /*reset=*/true);
  std::shared_ptr<BaseProtocol> protocol = factory_();
  CHECK(protocol != nullptr);
  RemoteTransport::Options options;
  options.extra_info = std::move(extra_info);
  options.write_buffer_marks = marks_;
  options.on_lost = [self = shared_from_this()](RemoteTransport& transport) { self->OnTransportLost(transport); };
  auto transport = std::make_shared<RemoteTransport>(*session_, transport_id, std::move(protocol), std::move(options));
  transports_.emplace(transport.get(), transport);
  session_->AddTransport(transport_id, transport);
  transport->Start();
}

void RemoteServer::OnTransportLost(RemoteTransport& transport) {
  transports_.erase(&transport);
  CheckEnded();
}

void RemoteServer::CheckEnded() {
  if (state_ != State::kClosed || !transports_.empty() || session_ == nullptr) return;
  const std::shared_ptr<RemoteServer> self = shared_from_this();
  std::exchange(session_, nullptr)->RemoveServer(id_);
  CallAll(std::exchange(end_waiters_, {}));
}

void RemoteServer::StartServing(absl::AnyInvocable<void(absl::Status)> done) {
  if (state_ != State::kOpen) return done(ServerClosed());
  if (is_serving_) return done(absl::OkStatus());
  v1::Command command;
  command.mutable_start_serving()->set_server_id(id_);
  session_->Request(std::move(command), [self = shared_from_this(),
                                         done = std::move(done)](const absl::StatusOr<v1::Reply>& reply) mutable {
    if (reply.ok()) self->is_serving_ = true;
    done(reply.status());
  });
}

void RemoteServer::Close(absl::AnyInvocable<void()> done) {
  if (state_ == State::kClosed) {
    if (done) done();
    return;
  }
  if (done) close_waiters_.push_back(std::move(done));
  if (state_ == State::kClosing) return;
  state_ = State::kClosing;
  sockets_.clear();
  v1::Command command;
  command.mutable_server_close()->set_server_id(id_);
  session_->Request(std::move(command),
                    [self = shared_from_this()](const absl::StatusOr<v1::Reply>&) { self->OnClosed(); });
}

void RemoteServer::OnClosed() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  sockets_.clear();
  const std::shared_ptr<RemoteServer> self = shared_from_this();
  CallAll(std::exchange(close_waiters_, {}));
  CheckEnded();
}

void RemoteServer::OnSessionLost() { OnClosed(); }

void RemoteServer::OnLoopDestroyed() {
  // Moved out, because their destructors may call back.
  const auto factory = std::move(factory_);
  const auto close_waiters = std::move(close_waiters_);
  const auto end_waiters = std::move(end_waiters_);
  state_ = State::kClosed;
  session_ = nullptr;
  sockets_.clear();
  transports_.clear();
}

void RemoteServer::WaitClosed(absl::AnyInvocable<void()> done) {
  if (session_ == nullptr) return done();
  end_waiters_.push_back(std::move(done));
}

void RemoteServer::CloseClients(absl::AnyInvocable<void(size_t)> done) {
  size_t count = 0;
  for (const auto& [pointer, weak] : transports_) {
    const std::shared_ptr<RemoteTransport> transport = weak.lock();
    if (transport == nullptr || transport->IsClosing()) continue;
    transport->Close();
    ++count;
  }
  if (done) done(count);
}

void RemoteServer::AbortClients(absl::AnyInvocable<void(size_t)> done) {
  size_t count = 0;
  for (const auto& [pointer, weak] : transports_) {
    const std::shared_ptr<RemoteTransport> transport = weak.lock();
    if (transport == nullptr || !transport->CanAbort()) continue;
    transport->Abort(false);
    ++count;
  }
  if (done) done(count);
}

void RemoteServer::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  if (state_ != State::kOpen) return done(SocketLost());
  RequestGetsockopt(*session_, id_, option, std::move(done));
}

void RemoteServer::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  if (state_ != State::kOpen) return done(SocketLost());
  RequestSetsockopt(*session_, id_, option, value, std::move(done));
}

}  // namespace transportd
