// The sockets through which clients reach the service.
#ifndef TRANSPORTD_SERVER_LISTEN_CONNECTION_LISTENER_H_
#define TRANSPORTD_SERVER_LISTEN_CONNECTION_LISTENER_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/listen/listen_address.h"
#include "transports/api/address.h"
#include "transports/base/unique_fd.h"
#include "transports/stream/acceptor.h"
#include "transports/stream/loop_context.h"

namespace transportd {

// Our own listening socket, because gRPC 1.51's never listens again once accept(2) has failed for want of descriptors
// (CVE-2023-4785), and says nothing of who is behind a Unix socket. Out of descriptors it pauses for a second, says so,
// and goes on. Threading: Create on any thread, before the loop runs or on its own; all else on the loop's thread.
class ConnectionListener final {
 public:
  // A connected, non-blocking, close-on-exec socket, and its peer.
  using OnConnection = absl::AnyInvocable<void(UniqueFd, const SocketAddress& peer)>;

  // Binds and listens: connections wait in the kernel until Start. The kernel's error; EADDRINUSE also when somebody
  // answers at a Unix path. `context` must outlive this. With `refuses_self` no connection of this process enters
  // through a Unix socket: one that it makes for a client would be taken for the principal that the socket stands for.
  static absl::StatusOr<std::unique_ptr<ConnectionListener>> Create(LoopContext& context, const ListenAddress& address,
                                                                    bool refuses_self = false);
  ~ConnectionListener();

  // Where it can be dialled, in gRPC's notation, with the real port.
  const std::string& target() const { return target_; }
  const SocketAddress& address() const { return acceptor_->address(); }

  void Start(OnConnection on_connection);
  // Closes the socket, and removes its file. Idempotent.
  void Close();

 private:
  ConnectionListener() = default;

  std::string target_;
  OnConnection on_connection_;
  std::unique_ptr<Acceptor> acceptor_;
  absl::AnyInvocable<void()> remove_file_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_LISTEN_CONNECTION_LISTENER_H_
