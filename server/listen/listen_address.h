// The addresses that the service listens on.
#ifndef TRANSPORTD_SERVER_LISTEN_LISTEN_ADDRESS_H_
#define TRANSPORTD_SERVER_LISTEN_LISTEN_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"

namespace transportd {

// Threading: a value.
struct ListenAddress {
  std::string target;     // In gRPC's notation, which is also how a client dials it, the port 0 apart.
  SocketAddress address;  // What is bound.
  bool local = false;     // Only programs of this machine can reach it.
  // Of TCP: without TLS, for a proxy beside the service that has its own.
  bool plaintext = false;
  // Of a Unix socket with a path: its file's permission bits. Who may not write to it cannot connect (unix(7)).
  uint32_t mode = 0600;
  // Of a Unix socket: who comes through it. Unset: callers identify themselves by a token.
  std::optional<std::string> principal = {};
  // Of a Unix socket: the users whose processes may connect (SO_PEERCRED); others are hung up on. Empty: whoever can.
  std::vector<uint32_t> uids = {};
};

// `127.0.0.1:0`, `[::1]:50051`, `localhost:0` (127.0.0.1), `unix:PATH` (made absolute), `unix-abstract:NAME`; behind
// it, each after a comma: `plaintext`, `principal=NAME`, `mode=OCTAL`, `uid=NUMBER` (may be repeated). INVALID_ARGUMENT
// / BAD_LISTEN_ADDRESS for anything else, whose message begins with `text`: a name would be another address tomorrow.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

// Can it be listened on now? The kernel's error when not; EADDRINUSE also when a service answers on a Unix path, which
// binding would take away from it. Leaves nothing behind.
absl::Status CheckListenAddress(const ListenAddress& address);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_LISTEN_LISTEN_ADDRESS_H_
