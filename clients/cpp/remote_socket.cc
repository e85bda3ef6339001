#include "clients/cpp/remote_socket.h"

#include <utility>

#include "transportd/v1/event_loop.pb.h"

namespace transportd {
namespace {

// Both ends of a pair are unnamed.
SocketAddress Unnamed(const SocketKind& kind) { return {.family = kind.family, .path = {}}; }

}  // namespace

RemoteSocket::RemoteSocket(std::weak_ptr<RemoteSession> session, uint32_t id, const SocketKind& kind)
    : session_(std::move(session)), id_(id), kind_(kind), sockname_(Unnamed(kind)), peername_(Unnamed(kind)) {}

std::optional<uint32_t> RemoteSocket::Take() {
  if (!std::exchange(is_open_, false)) return std::nullopt;
  return id_;
}

void RemoteSocket::Close() {
  if (!std::exchange(is_open_, false)) return;
  const std::shared_ptr<RemoteSession> session = session_.lock();
  if (session == nullptr) return;
  v1::Command command;
  command.mutable_close()->set_transport_id(id_);
  session->Send(command);
}

}  // namespace transportd
