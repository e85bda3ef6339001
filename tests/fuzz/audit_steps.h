// The steps of a record of the audit log.
#ifndef TRANSPORTD_TESTS_FUZZ_AUDIT_STEPS_H_
#define TRANSPORTD_TESTS_FUZZ_AUDIT_STEPS_H_

#include <cstdint>

namespace transportd::fuzz {

// What a step's bytes become, by its first byte, modulo kAuditStepCount.
enum AuditStep : uint8_t {
  kAuditEvent,  // Its number, modulo their count.
  kAuditUid,
  kAuditSession,
  kAuditPrincipal,
  kAuditAuthMethod,
  kAuditCredential,
  kAuditPeer,
  kAuditAction,
  kAuditRequested,
  kAuditResolved,
  kAuditClass,
  kAuditPath,
  kAuditProgram,
  kAuditArg,      // One more.
  kAuditEnvName,  // One more.
  kAuditDecision,
  kAuditRule,
  kAuditPolicyVersion,
  kAuditPolicySha256,
  kAuditShadowRule,
  kAuditQuota,
  kAuditNumber,
  kAuditConfinement,
  kAuditCause,
  kAuditRepeat,  // The text before, that many times.
  kAuditStepCount,
};

}  // namespace transportd::fuzz

#endif  // TRANSPORTD_TESTS_FUZZ_AUDIT_STEPS_H_
