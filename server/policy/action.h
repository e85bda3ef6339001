// What somebody is about to do, as the policy sees it.
#ifndef TRANSPORTD_SERVER_POLICY_ACTION_H_
#define TRANSPORTD_SERVER_POLICY_ACTION_H_

#include <span>
#include <string_view>

#include "transports/api/address.h"

namespace transportd {

// Which grants it needs. Each kind says which of the fields below it has; the others are empty.
enum class ActionKind {
  kSession,  // Anything that is none of the below: to open a session, to use what one has. Any grant but `admin` allows
             // it.
  kConnect,  // protocol, address, host.
  kSend,     // A datagram: protocol, address, host.
  kListen,   // protocol, address: the local one, with the port as it is asked for, 0 included.
  kAccept,   // protocol, address: the peer's; local: the address that it came to.
  kReceive,  // A datagram of a peer: as kAccept.
  kResolve,  // host: a name to be resolved for its own sake (getaddrinfo) or before connecting.
  kRun,      // path: the program's real path; args, env_names, folder; or never: path and name as the client gave them.
  kPath,     // path, use.
  kOption,   // name: of a socket option.
  kTls,      // name: `unverified`, `own_trust`, or `identity:NAME`.
  kAdmin,    // name: of Admin's method.
};

enum class ActionProtocol { kNone, kTcp, kUdp };
// What no grant allows, of whichever program.
enum class NeverToRun {
  kNothing,
  kName,     // Another argv[0] than its executable's, or one that begins with `-`.
  kAccount,  // Another user or group than the service's.
};
enum class PathUse { kNone, kConnect, kListen, kRead, kWrite };

// Threading: a value, for the time of a call: it points to what its maker holds.
struct Action {
  ActionKind kind = ActionKind::kSession;
  ActionProtocol protocol = ActionProtocol::kNone;
  const SocketAddress* address = nullptr;  // Where it really leads: numbers, never a name.
  const SocketAddress* local = nullptr;
  std::string_view host = {};  // As the client gave it, when that is a name.
  std::string_view path = {};  // Absolute; `@NAME`: an abstract Unix socket; `fd:N`: an inherited descriptor.
  PathUse use = PathUse::kNone;
  std::span<const std::string_view> args = {};
  std::span<const std::string_view> env_names = {};
  std::string_view folder = {};
  std::string_view name = {};
  bool is_misnamed = false;  // Of a program: its argv[0] is not a name of it.
  NeverToRun never = NeverToRun::kNothing;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_ACTION_H_
