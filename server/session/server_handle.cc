#include "server/session/server_handle.h"

#include <utility>
#include <vector>

#include "server/session/convert.h"
#include "server/session/session.h"

namespace transportd {

ServerHandle::ServerHandle(Session& session, std::shared_ptr<Server> server, std::shared_ptr<void> place,
                           std::shared_ptr<OperationGate> gate, const std::vector<Need>& settings)
    : Handle(kKind), session_(session), server_(std::move(server)) {
  SetPlace(std::move(place));
  SetGate(std::move(gate));
  AddSettings(settings);
  const std::vector<SocketAddress> sockets = server_->Sockets();
  if (!sockets.empty()) sockname_ = sockets.front();
}

void ServerHandle::CloseServer(absl::AnyInvocable<void()> done) {
  const std::shared_ptr<ServerHandle> self = shared_from_this();
  const bool was_closed = std::exchange(closed_, true);
  server_->Close(std::move(done));
  if (!was_closed) server_->WaitClosed([self] { self->Leave(); });
}

void ServerHandle::End() {
  const std::shared_ptr<ServerHandle> self = shared_from_this();
  CloseServer(nullptr);
  // Those that are no transports of the session's yet, because their handshake is not done.
  server_->AbortClients(nullptr);
}

void ServerHandle::AnswerWhenClosed(std::shared_ptr<Call> call) {
  const uint64_t number = call->number();
  call->SetCancel([this, number] {
    auto waiting = waiting_.extract(number);
    waiting.mapped()->Fail(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the wait was cancelled"));
  });
  waiting_.emplace(number, std::move(call));
}

void ServerHandle::Leave() {
  if (id() == 0) return;
  if (gate() != nullptr) {
    gate()->Closed({.transport_id = id(), .duration = age(), .cause = ended_by() ? EndCauseName(*ended_by()) : ""});
  }
  session_.Remove(*this);
  for (const auto& [number, call] : std::exchange(waiting_, {})) {
    v1::Reply reply;
    reply.mutable_wait_closed();
    call->Answer(std::move(reply));
  }
}

void ServerHandle::Describe(v1::TransportInfo& info) const {
  info.set_kind(v1::TRANSPORT_KIND_SERVER);
  if (sockname_) ToProto(*sockname_, *info.mutable_sockname());
  info.set_is_closing(closed_);
}

void ServerHandle::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  server_->Getsockopt(option, std::move(done));
}

void ServerHandle::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  server_->Setsockopt(option, value, std::move(done));
}

}  // namespace transportd
