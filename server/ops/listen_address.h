// The addresses that the service listens on.
#ifndef TRANSPORTD_SERVER_OPS_LISTEN_ADDRESS_H_
#define TRANSPORTD_SERVER_OPS_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"

namespace transportd {

// Threading: a value.
struct ListenAddress {
  std::string target;     // In gRPC's notation, which is also how a client dials it, the port 0 apart.
  SocketAddress address;  // What is bound.
  bool local = false;     // Only programs of this machine can reach it.
  uint32_t mode = 0600;   // Of a Unix socket's file.
};

// `127.0.0.1:0`, `[::1]:50051`, `localhost:0` (127.0.0.1), `unix:PATH` (made absolute), `unix-abstract:NAME`.
// INVALID_ARGUMENT / BAD_LISTEN_ADDRESS for anything else: a name would be another address tomorrow.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

// Can it be listened on now? The kernel's error when not; EADDRINUSE also when a service answers on a Unix path, which
// binding would take away from it. Leaves nothing behind.
absl::Status CheckListenAddress(const ListenAddress& address);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_LISTEN_ADDRESS_H_
