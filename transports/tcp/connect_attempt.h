// One socket, one address: bind when asked, then connect.
#ifndef TRANSPORTD_TRANSPORTS_TCP_CONNECT_ATTEMPT_H_
#define TRANSPORTD_TRANSPORTS_TCP_CONNECT_ATTEMPT_H_

#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "transports/api/address.h"
#include "transports/api/error.h"
#include "transports/api/socket_gate.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// asyncio's _connect_sock. Threading: loop thread only.
class ConnectAttempt final : private FdHandler {
 public:
  // `descriptor_limit`: see AdmitSocket. `gate` is asked before the kernel is; null: everything is allowed. It and
  // `reactor` must outlive this.
  ConnectAttempt(Reactor& reactor, int descriptor_limit, SocketGate* gate)
      : reactor_(reactor), descriptor_limit_(descriptor_limit), gate_(gate) {}
  ConnectAttempt(const ConnectAttempt&) = delete;
  ConnectAttempt& operator=(const ConnectAttempt&) = delete;
  ~ConnectAttempt() override { Cancel(); }

  // Once. True: it is decided already, and `on_decided` will not be called. Else that is called once, later, unless
  // Cancel comes first; it may cancel this, and must not destroy it. `locals`: the addresses to bind, of which the
  // first of the remote's family that works is taken; null: the kernel picks.
  bool Start(const SocketAddress& remote, const std::vector<SocketAddress>* locals,
             absl::AnyInvocable<void()> on_decided);

  // Once decided: the connected socket, or none.
  bool connected() const { return connected_; }
  UniqueFd TakeFd();
  // What went wrong, in order; one that connected may have failed to bind its first local addresses.
  const std::vector<TransportError>& errors() const { return errors_; }

  // Gives up: closes the socket. Idempotent.
  void Cancel();

 private:
  void OnWritable() override;

  bool Bind(const std::vector<SocketAddress>& locals);
  void Fail(const absl::Status& status);

  Reactor& reactor_;
  const int descriptor_limit_;
  SocketGate* const gate_;
  SocketAddress remote_;
  absl::AnyInvocable<void()> on_decided_;
  UniqueFd fd_;
  WatchId watch_ = 0;
  bool connected_ = false;
  std::vector<TransportError> errors_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_CONNECT_ATTEMPT_H_
