// Everything that decides who may do what, made of the command line, and made again when its files change.
#ifndef TRANSPORTD_SERVER_OPS_SECURITY_H_
#define TRANSPORTD_SERVER_OPS_SECURITY_H_

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/listen/service_certificate.h"
#include "server/ops/options.h"
#include "server/policy/audit_events.h"
#include "server/policy/audit_log.h"
#include "server/policy/audit_tally.h"
#include "server/policy/authorizer.h"
#include "server/policy/connection_guard.h"
#include "server/policy/identifier.h"
#include "server/policy/quota.h"
#include "transportd/v1/admin.pb.h"
#include "transports/api/address.h"

namespace transportd {

// For metrics. Threading: a value.
struct SecurityStats {
  // A file that is read again when it changes.
  struct File {
    std::string_view kind;                                 // `policy`, `shadow_policy`, `identities`, `certificate`.
    bool is_good = true;                                   // When it was last read.
    std::chrono::system_clock::time_point load_time = {};  // Of what is in force.
  };
  std::map<AuditTally::Key, uint64_t> records;
  AuditCounts audit;
  QuotaUsage quotas;
  std::vector<File> files;  // Those that were given.
};

// With --dev everybody is `dev` and may do everything; else the policy decides. Threading: one thread, but what it
// hands out, which is as that says, and Record: any thread.
class Security {
 public:
  // Reads every file. INVALID_ARGUMENT with what is wrong in which; the kernel's error.
  static absl::StatusOr<std::unique_ptr<Security>> Create(const Options& options);
  virtual ~Security() = default;

  virtual const Identifier& identifier() const = 0;
  virtual const Authorizer& authorizer() const = 0;
  // Null: no listener has TLS.
  virtual const ServiceCertificateStore* certificate() const = 0;
  // Whether a client could only be known by its certificate.
  virtual bool certificates_only() const = 0;
  // Null: everybody may connect.
  virtual ConnectionGuard* connection_guard() = 0;
  // Of --health-listen: bounds in number, and refuses nobody for what was wrong elsewhere: a kubelet has the address of
  // its node, as others may have. Null: as above.
  virtual ConnectionGuard* health_guard() = 0;
  // Of --admin-listen: records what was wrong, and refuses nobody: all who come there have this machine's address.
  virtual ConnectionGuard* admin_guard() = 0;

  // The service listens: at these addresses nobody may reach it through itself.
  virtual absl::Status SetOwnAddresses(std::span<const SocketAddress> addresses) = 0;
  // From now on files that change are read again. What cannot be used changes nothing, and is recorded. `on_policy`, on
  // a thread of its own: there is another policy. Open sessions are to ask again what they may; with
  // --policy-reload=keep that is only how much.
  virtual absl::Status StartReloading(absl::AnyInvocable<void()> on_policy) = 0;
  // No file is read any more, and `on_policy` is not called behind this. Idempotent; not on its thread.
  virtual void StopReloading() = 0;
  // As if every file had changed; the audit log's file is opened again. Returns at once.
  virtual void Reload() = 0;
  // What Admin.GetStatus tells of it: policy, certificates, quotas, audit log, denials. Any thread.
  virtual void Describe(v1::GetStatusResponse& status) const = 0;
  // Unset: nobody is asked. Any thread.
  virtual std::optional<SecurityStats> Stats() const = 0;
  // Something that concerns the whole service.
  virtual void Record(AuditEvent event) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_SECURITY_H_
