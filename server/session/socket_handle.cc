#include "server/session/socket_handle.h"

#include <utility>

#include "server/session/convert.h"
#include "server/session/session.h"

namespace transportd {

SocketHandle::SocketHandle(Session& session, std::shared_ptr<ExistingSocket> socket, std::shared_ptr<void> place)
    : Handle(kKind), session_(session), socket_(std::move(socket)) {
  SetPlace(std::move(place));
}

void SocketHandle::LeaveIfTaken() {
  if (!socket_->IsOpen() && id() != 0) session_.Remove(*this);
}

void SocketHandle::Describe(v1::TransportInfo& info) const {
  info.set_kind(v1::TRANSPORT_KIND_SOCKET);
  ToProto(socket_->Sockname(), *info.mutable_sockname());
  if (socket_->Peername()) ToProto(*socket_->Peername(), *info.mutable_peername());
}

absl::Status SocketHandle::Close() {
  socket_->Close();
  LeaveIfTaken();
  return absl::OkStatus();
}

absl::Status SocketHandle::Abort(bool /*reset*/) { return Close(); }

}  // namespace transportd
