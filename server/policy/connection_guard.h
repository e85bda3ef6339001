// Who may connect, before it is known who it is; and the record of who could say so and who could not.
#ifndef TRANSPORTD_SERVER_POLICY_CONNECTION_GUARD_H_
#define TRANSPORTD_SERVER_POLICY_CONNECTION_GUARD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/audit_log.h"
#include "server/policy/authorizer.h"
#include "server/policy/ip_address.h"
#include "server/policy/per_source_limiter.h"
#include "transports/api/address.h"
#include "transports/api/time.h"
#include "transports/base/clock.h"
#include "transports/base/mutex.h"

namespace transportd {

// Refusals and failures get few records however often somebody tries. Threading: any thread.
class ConnectionGuard final {
 public:
  // `audit` outlives this.
  ConnectionGuard(const PerSourceOptions& options, AuditLog& audit, Clock& clock = SystemClock())
      : limiter_(options, clock), audit_(audit), clock_(clock) {}

  // A place for a connection that was accepted, to be held until it is known whose it is; or why there is none: as
  // PerSourceLimiter::Admit.
  absl::StatusOr<PerSourceLimiter::Lease> Admit(const SocketAddress& peer,
                                                PerSourceLimiter::Refusal* refusal = nullptr) {
    return limiter_.Admit(peer, refusal);
  }
  // A connection of nobody's was closed: `auth.refused`. In kRefusalPeriod each source has one record, and all together
  // kMaxRefusalRecords at most; the next one says how many had none.
  static constexpr size_t kMaxRefusalRecords = 10;
  static constexpr std::chrono::seconds kRefusalPeriod{15};
  void Refused(const SocketAddress& peer, std::string_view cause) ABSL_LOCKS_EXCLUDED(mutex_);

  // It is known whose connection it is: `auth.ok`.
  void Identified(const Caller& caller);

  // A call could not be identified: `auth.fail`, and counts against its source. `peer`: gRPC's name of it. True: its
  // source is refused from now on, so this connection of it had better end, too, if it is still nobody's.
  bool Failed(std::string_view peer, const absl::Status& why);

  PerSourceLimiter::Counts Usage() const { return limiter_.Usage(); }

 private:
  PerSourceLimiter limiter_;
  AuditLog& audit_;
  Clock& clock_;
  Mutex mutex_;
  TimePoint period_began_at_ ABSL_GUARDED_BY(mutex_) = {};
  std::vector<IpAddress> recorded_sources_ ABSL_GUARDED_BY(mutex_);  // In the period.
  uint64_t unrecorded_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONNECTION_GUARD_H_
