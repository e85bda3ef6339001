// What a session keeps of one server.
#ifndef TRANSPORTD_SERVER_SESSION_SERVER_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_SERVER_HANDLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "server/session/call.h"
#include "server/session/handle.h"
#include "transports/api/server.h"

namespace transportd {

class Session;

// Stays in the session's table until it is closed and the last connection that it accepted is lost, those whose
// handshake is not done included.
// Threading: loop thread only.
class ServerHandle final : public Handle, public std::enable_shared_from_this<ServerHandle> {
 public:
  static constexpr Kind kKind = Kind::kServer;

  // `session` must outlive the handle's time in its table.
  ServerHandle(Session& session, std::shared_ptr<Server> server, std::shared_ptr<void> place,
               std::shared_ptr<OperationGate> gate, const std::vector<Need>& settings);

  Server& server() { return *server_; }

  // Closes it; `done`, which may be null, is called when a connect would be refused.
  void CloseServer(absl::AnyInvocable<void()> done);
  // Answers `call` when it is over.
  void AnswerWhenClosed(std::shared_ptr<Call> call);

  // Handle
  void End() override;
  void Describe(v1::TransportInfo& info) const override;
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  // The table; then those who wait are answered.
  void Leave();

  Session& session_;
  const std::shared_ptr<Server> server_;
  std::optional<SocketAddress> sockname_;
  std::map<uint64_t, std::shared_ptr<Call>> waiting_;  // wait_closed, by the call's number.
  bool closed_ = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SERVER_HANDLE_H_
