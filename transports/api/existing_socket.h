// A socket that is no transport yet: what asyncio's `sock` arguments take.
// https://docs.python.org/3.13/library/asyncio-protocol.html#connecting-existing-sockets
#ifndef TRANSPORTD_TRANSPORTS_API_EXISTING_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_API_EXISTING_SOCKET_H_

#include <memory>
#include <optional>

#include "transports/api/address.h"
#include "transports/api/tls_options.h"
#include "transports/api/transport.h"

namespace transportd {

// Open until it is closed, destroyed, or handed to a call that makes a transport or server of it; that call closes it
// when it fails after its arguments were found to be good. Belongs to the loop that made it.
// Threading: loop thread only.
class ExistingSocket {
 public:
  virtual ~ExistingSocket() = default;

  virtual bool IsOpen() const = 0;
  // Idempotent.
  virtual void Close() = 0;

  // As they were when the handle was made; still there afterwards.
  virtual const SocketKind& Kind() const = 0;
  virtual const SocketAddress& Sockname() const = 0;
  // Unset: not connected.
  virtual const std::optional<SocketAddress>& Peername() const = 0;
};

// The two ends of a socketpair(2), connected to each other.
struct SocketPair {
  std::shared_ptr<ExistingSocket> first;
  std::shared_ptr<ExistingSocket> second;
};

// ConnectAcceptedSocketRequest in proto/transportd/v1/socket.proto says what each means.
struct ConnectAcceptedSocketOptions {
  std::shared_ptr<ExistingSocket> sock = nullptr;
  WriteBufferLimits write_buffer_limits = {};
  std::optional<TlsOptions> tls = {};  // The server's side. Unset: no TLS.
};

// SocketpairRequest in proto/transportd/v1/socket.proto says what each means.
struct SocketpairOptions {
  AddressFamily family = AddressFamily::kUnspecified;  // Unspecified: UNIX, the only one.
  SocketType type = SocketType::kStream;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_EXISTING_SOCKET_H_
