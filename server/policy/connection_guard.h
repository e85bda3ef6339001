// Who may connect, before it is known who it is; and the record of who could say so and who could not.
#ifndef TRANSPORTD_SERVER_POLICY_CONNECTION_GUARD_H_
#define TRANSPORTD_SERVER_POLICY_CONNECTION_GUARD_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/audit_log.h"
#include "server/policy/authorizer.h"
#include "server/policy/per_source_limiter.h"
#include "transports/api/address.h"
#include "transports/base/clock.h"

namespace transportd {

// However often somebody tries, the audit log gets few records of it. Threading: any thread.
class ConnectionGuard final {
 public:
  // `audit` outlives this.
  ConnectionGuard(const PerSourceOptions& options, AuditLog& audit, Clock& clock = SystemClock())
      : limiter_(options, clock), audit_(audit) {}

  // A place for a connection that was accepted, to be held until it is known whose it is; or why it is to be closed:
  // as PerSourceLimiter::Admit. Recorded as `auth.refused`.
  absl::StatusOr<PerSourceLimiter::Lease> Admit(const SocketAddress& peer);

  // It is known whose connection it is: `auth.ok`.
  void Identified(const Caller& caller);

  // A call could not be identified: `auth.fail`, and counts against its source. `peer`: as Caller::peer. True: its
  // source is refused from now on, so this connection of it had better end, too.
  bool Failed(std::string_view peer, const absl::Status& why);

  // There is no place left for any connection.
  bool IsFull() const { return limiter_.IsFull(); }

  PerSourceLimiter::Counts Usage() const { return limiter_.Usage(); }

 private:
  PerSourceLimiter limiter_;
  AuditLog& audit_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONNECTION_GUARD_H_
