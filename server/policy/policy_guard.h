// A session's guard that asks the policy in force.
#ifndef TRANSPORTD_SERVER_POLICY_POLICY_GUARD_H_
#define TRANSPORTD_SERVER_POLICY_POLICY_GUARD_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/policy/audit_log.h"
#include "server/policy/authorizer.h"
#include "server/policy/policy_store.h"
#include "server/policy/quota.h"
#include "server/policy/session_guard.h"

namespace transportd {

// What decides, records and counts, for the whole service. All outlive whoever is given them. Threading: any thread.
struct PolicyServices {
  const PolicyStore* policies = nullptr;
  AuditLog* audit = nullptr;
  QuotaTable* quotas = nullptr;
  bool keep = false;  // What a new policy does not allow any more may stay as it is: --policy-reload=keep.
};

// Who does it, and in which session; null: in none. The record points to both.
void FillSession(AuditRecord& record, const Caller& caller, AuditSession* session);

// What a decision was, and the record that says so. Threading: any thread.
//
// Judges by the policy in force and writes the record. OK; PERMISSION_DENIED / POLICY_DENIED, whose message names the
// record and never where an address leads; UNAVAILABLE / CANNOT_AUDIT. `requested`: as the client said it; empty: as
// the action has it. `decision`, which may be null, is what was decided; it points into `policy`, which is then what
// decided.
absl::Status Judge(const PolicyServices& services, const Caller& caller, AuditSession* session, std::string_view method,
                   const Action& action, std::string_view requested = {}, Decision* decision = nullptr,
                   std::shared_ptr<const Policy>* policy = nullptr);

// Takes the principal's place for one more session, and records that it is opened. As Judge for kSession, or
// RESOURCE_EXHAUSTED / QUOTA_EXCEEDED.
absl::StatusOr<std::unique_ptr<SessionGuard>> OpenPolicyGuard(const PolicyServices& services, const Caller& caller,
                                                              std::string_view session_id);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_POLICY_GUARD_H_
