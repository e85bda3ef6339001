// What the calls for Unix stream sockets take: asyncio's create_unix_connection and create_unix_server.
#ifndef TRANSPORTD_TRANSPORTS_API_UNIX_H_
#define TRANSPORTD_TRANSPORTS_API_UNIX_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "transports/api/existing_socket.h"
#include "transports/api/socket_gate.h"
#include "transports/api/time.h"
#include "transports/api/tls_options.h"
#include "transports/api/transport.h"

namespace transportd {

// CreateUnixConnectionRequest in proto/transportd/v1/unix.proto says what each means, unset and 0 included.
struct CreateUnixConnectionOptions {
  std::optional<std::string> path = {};  // Any bytes; a first byte 0 begins an abstract name.
  std::shared_ptr<ExistingSocket> sock = nullptr;
  std::optional<Duration> timeout = {};  // Unset: the loop's default, 60 s.
  WriteBufferLimits write_buffer_limits = {};
  std::optional<TlsOptions> tls = {};     // Unset: no TLS.
  std::shared_ptr<SocketGate> gate = {};  // Null: everything is allowed. EpollEventLoop only.
};

// CreateUnixServerRequest in proto/transportd/v1/unix.proto says what each means, unset and 0 included.
struct CreateUnixServerOptions {
  std::optional<std::string> path = {};
  std::shared_ptr<ExistingSocket> sock = nullptr;
  uint32_t backlog = 100;
  bool start_serving = true;
  bool cleanup_socket = true;
  std::optional<uint32_t> mode = {};  // Permission bits of the socket's file. Unset: 0777 less the umask.
  WriteBufferLimits write_buffer_limits = {};
  std::optional<TlsOptions> tls = {};     // Unset: no TLS.
  std::shared_ptr<SocketGate> gate = {};  // Null: everything is allowed. EpollEventLoop only.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_UNIX_H_
