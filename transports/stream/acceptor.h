// One listening socket.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_ACCEPTOR_H_
#define TRANSPORTD_TRANSPORTS_STREAM_ACCEPTOR_H_

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/address.h"
#include "transports/api/server.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"

namespace transportd {

// Accepts at most `backlog` connections a turn. Out of descriptors or memory it tells the exception handler and accepts
// nothing for a second, instead of spinning on a descriptor that stays readable.
// Threading: loop thread only.
class Acceptor final : private FdHandler {
 public:
  // A connected, non-blocking, close-on-exec socket, its peer, and what kind it is when that is known without asking.
  // May call Close, must not destroy the acceptor.
  using OnAccepted = absl::AnyInvocable<void(UniqueFd, SocketAddress, const std::optional<SocketKind>&)>;

  // `server`: whose socket it is, for the exception handler; may be null. `fd` is bound, non-blocking and
  // close-on-exec. `context` and `server` must outlive this.
  Acceptor(LoopContext& context, const Server* server, UniqueFd fd, SocketAddress address, uint32_t backlog,
           OnAccepted on_accepted);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  ~Acceptor() override { Close(); }

  // listen(2): from now on connects succeed. The kernel's error.
  absl::Status Listen();
  // Accepts from the next turn on. Nothing when closed.
  void StartAccepting();
  // Closes the socket: connects are refused. Idempotent.
  void Close();

  // -1 when closed.
  int fd() const { return fd_.get(); }
  const SocketAddress& address() const { return address_; }

 private:
  void OnReadable() override;
  void PauseAccepting(int error_number);

  LoopContext& context_;
  const Server* const server_;
  UniqueFd fd_;
  const SocketAddress address_;
  const std::optional<SocketKind> accepted_kind_;
  const uint32_t backlog_;
  OnAccepted on_accepted_;
  WatchId watch_ = 0;
  TimerId retry_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_ACCEPTOR_H_
