// One listening socket.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_ACCEPTOR_H_
#define TRANSPORTD_TRANSPORTS_STREAM_ACCEPTOR_H_

#include <cstdint>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/address.h"
#include "transports/api/server.h"
#include "transports/api/socket_gate.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"

namespace transportd {

// Accepts at most `backlog` connections a turn. Out of descriptors or memory it tells the exception handler and accepts
// nothing for a second, instead of spinning on a descriptor that stays readable.
// Threading: loop thread only.
class Acceptor final : private FdHandler {
 public:
  // A connected, non-blocking, close-on-exec socket, and what is known of it without asking.
  struct Accepted {
    UniqueFd fd;
    SocketAddress peername;
    std::optional<SocketAddress> sockname = {};
    std::optional<SocketKind> kind = {};
  };
  // May call Close, must not destroy the acceptor.
  using OnAccepted = absl::AnyInvocable<void(Accepted)>;

  struct Options {
    uint32_t backlog = 100;
    SocketGate* gate = nullptr;  // Whom it does not let in is reset. Null: everybody may come in.
  };
  // `server`: whose socket it is, for the exception handler; may be null. `fd` is bound, non-blocking and
  // close-on-exec. `context`, `server` and the gate must outlive this.
  Acceptor(LoopContext& context, const Server* server, UniqueFd fd, SocketAddress address, const Options& options,
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
  // Connections that the gate did not let in.
  uint64_t refused_count() const { return refused_count_; }

 private:
  void OnReadable() override;
  // What the gate says to `accepted`, whose own address it is then told.
  bool MayAccept(Accepted& accepted);
  void PauseAccepting(int error_number);

  LoopContext& context_;
  const Server* const server_;
  UniqueFd fd_;
  const SocketAddress address_;
  const std::optional<SocketKind> accepted_kind_;
  const Options options_;
  uint64_t refused_count_ = 0;
  OnAccepted on_accepted_;
  WatchId watch_ = 0;
  TimerId retry_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_ACCEPTOR_H_
