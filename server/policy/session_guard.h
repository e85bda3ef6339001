// What one session may do: asked for each thing, each time.
#ifndef TRANSPORTD_SERVER_POLICY_SESSION_GUARD_H_
#define TRANSPORTD_SERVER_POLICY_SESSION_GUARD_H_

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/action.h"
#include "transports/api/address.h"
#include "transports/api/confinement.h"
#include "transports/api/socket_gate.h"
#include "transports/api/subprocess_gate.h"

namespace transportd {

// A command that is about to make or use something. Threading: a value.
struct GuardedOperation {
  enum class Kind { kConnection, kServer, kDatagram, kSubprocess, kFile };
  Kind kind = Kind::kFile;
  std::string_view method = {};  // As Access::method; lives as long as the program.
  ActionProtocol protocol = ActionProtocol::kNone;
  std::string requested = {};  // As the client said it, for records: `db.lab:5432`, a path.
  std::string host = {};       // The name that it gave; empty: none.
  // Of a program.
  std::string program_name = {};  // argv[0].
  std::vector<std::string> args = {};
  std::vector<std::string> env_names = {};
};

// How a transport or a server ended, for records. Threading: a value.
struct OperationEnd {
  uint32_t transport_id = 0;
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  std::chrono::nanoseconds duration{0};
  std::string_view cause = {};
  std::optional<int> returncode = {};
  bool accepted = false;  // By the server whose gate this is.
};

// Asked about all sockets, files and programs of one operation. Lives as long as what that has made, and holds its
// quota. Threading: as its bases; the rest the loop's thread.
class OperationGate : public SocketGate, public SubprocessGate {
 public:
  // By the policy of now: may what was made, or is being made, still be there? True where a policy ends nothing.
  // `sockname` and `peername`: its own; null: it has none, or not yet: of several attempts one that is allowed will do.
  // `accepted`: by the server whose gate this is.
  virtual bool StillAllows(const SocketAddress* sockname, const SocketAddress* peername, bool accepted) const = 0;
  // The program runs without these parts of its confinement: `process.unconfined`.
  virtual void NotConfined(std::span<const ConfinementStep> steps) = 0;
  // What was made is over: `transport.close`, `server.close` or `process.exit`.
  virtual void Closed(const OperationEnd& end) = 0;
};

// Lives as long as its session, and holds its quota. Threading: the loop's thread.
class SessionGuard {
 public:
  struct Bounds {
    std::optional<std::chrono::nanoseconds> age = {};                // Unset: none.
    std::optional<std::chrono::nanoseconds> idle = {};               // Unset: none.
    uint64_t buffered_bytes = std::numeric_limits<uint64_t>::max();  // Of all sessions of the principal.
    uint64_t buffered_share_bytes = buffered_bytes;                  // What each of them may hold in any case.
  };

  virtual ~SessionGuard() = default;

  // What is no operation: an option, a setting of TLS, a name to be resolved, what is never run. PERMISSION_DENIED /
  // POLICY_DENIED, RESOURCE_EXHAUSTED / QUOTA_EXCEEDED, UNAVAILABLE / CANNOT_AUDIT.
  virtual absl::Status Check(std::string_view method, const Action& action) = 0;
  // The gate of an operation; or the quota that it would exceed.
  virtual absl::StatusOr<std::shared_ptr<OperationGate>> Begin(GuardedOperation operation) = 0;
  // A place for one more transport, given back when the last hold of it is gone.
  virtual absl::StatusOr<std::shared_ptr<void>> TakeTransport() = 0;
  // By the policy of now: may what was granted stay? kSession: the session itself; kOption, kTls: how one of its
  // transports is set up. True where a policy ends nothing. Nothing is recorded.
  virtual bool StillAllows(const Action& action) const = 0;
  virtual Bounds GetBounds() const = 0;
  // The session holds so much in buffers now.
  virtual void SetBufferedBytes(uint64_t bytes) = 0;
  // What all sessions of the principal hold.
  virtual uint64_t PrincipalBufferedBytes() const = 0;
  // The session is over: `session.close`, or `session.expire`.
  virtual void Closed(std::string_view cause, bool expired) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_SESSION_GUARD_H_
