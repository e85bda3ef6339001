// What a session keeps of one socket that is no transport yet.
#ifndef TRANSPORTD_SERVER_SESSION_SOCKET_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_SOCKET_HANDLE_H_

#include <memory>

#include "absl/status/status.h"
#include "server/session/handle.h"
#include "transportd/v1/admin.pb.h"
#include "transports/api/existing_socket.h"

namespace transportd {

class Session;

// Stays in the session's table until it is closed, or a transport is made of the socket.
// Threading: loop thread only.
class SocketHandle final : public Handle {
 public:
  static constexpr Kind kKind = Kind::kSocket;

  // `session` must outlive the handle's time in its table.
  SocketHandle(Session& session, std::shared_ptr<ExistingSocket> socket, std::shared_ptr<void> place);

  const std::shared_ptr<ExistingSocket>& sock() const { return socket_; }
  // Leaves the table when the socket is taken or closed.
  void LeaveIfTaken();

  // Handle
  void End() override { static_cast<void>(Close()); }
  void Describe(v1::TransportInfo& info) const override;
  absl::Status Close() override;
  absl::Status Abort(bool reset) override;

 private:
  Session& session_;
  const std::shared_ptr<ExistingSocket> socket_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SOCKET_HANDLE_H_
