// Servers: listening sockets and the transports they accept.
// https://docs.python.org/3.13/library/asyncio-eventloop.html#asyncio.Server
#ifndef TRANSPORTD_TRANSPORTS_API_SERVER_H_
#define TRANSPORTD_TRANSPORTS_API_SERVER_H_

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/socket_option.h"

namespace transportd {

// Held by its loop until it is closed and its last transport is lost, and by whoever keeps the shared_ptr.
// Every `done` is called exactly once, on the loop's thread, perhaps before the method returns.
// Threading: loop thread only.
class Server {
 public:
  virtual ~Server() = default;

  // Listens and accepts; nothing when it already does. FAILED_PRECONDITION / SERVER_CLOSED; the kernel's errors.
  virtual void StartServing(absl::AnyInvocable<void(absl::Status)> done) = 0;
  virtual bool IsServing() const = 0;

  // Closes the listening sockets; `done`, which may be null, is called when a connect would be refused. Accepted
  // transports live on. Idempotent.
  virtual void Close(absl::AnyInvocable<void()> done = nullptr) = 0;

  // `done` is called when the server is closed and every transport it accepted is lost.
  virtual void WaitClosed(absl::AnyInvocable<void()> done) = 0;

  // Close, or Abort, every open transport that this server accepted. `done`, which may be null, gets their number.
  virtual void CloseClients(absl::AnyInvocable<void(size_t)> done = nullptr) = 0;
  virtual void AbortClients(absl::AnyInvocable<void(size_t)> done = nullptr) = 0;

  // The bound addresses; empty once closed.
  virtual std::vector<SocketAddress> Sockets() const = 0;

  // An option of the first listening socket.
  virtual void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) = 0;
  // An option of every listening socket.
  virtual void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_SERVER_H_
