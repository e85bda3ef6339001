// Every event of the audit log: its name, and its code, which stays what it is when the name must change.
//
// deploy/README.md lists them for who reads the log; a lint test holds the two together.
#ifndef TRANSPORTD_SERVER_POLICY_AUDIT_EVENTS_H_
#define TRANSPORTD_SERVER_POLICY_AUDIT_EVENTS_H_

#include <array>
#include <cstddef>
#include <string_view>

#include "server/policy/action.h"

namespace transportd {

enum class AuditEvent {
  kAuthOk,
  kAuthFail,
  kAuthRefused,
  kSessionOpen,
  kSessionClose,
  kSessionExpire,
  kSessionForeign,
  kConnect,
  kListen,
  kAccept,
  kSendto,
  kReceive,
  kPath,
  kOption,
  kTls,
  kResolve,
  kTransportClose,
  kServerClose,
  kSendtoSummary,
  kTransportRevoke,
  kRun,
  kProcessExit,
  kProcessUnconfined,
  kAdmin,
  kQuotaReject,
  kPolicyLoad,
  kPolicyReject,
  kIdentitiesLoad,
  kIdentitiesReject,
  kCertificateLoad,
  kCertificateReject,
  kServiceStart,
  kServiceStop,
  kDrainBegin,
  kDrainEnd,
  kAuditLost,
  kAuditReopen,
};

// What an event is worth to its reader; the last letter of its code.
enum class AuditSeverity : char { kInfo = 'I', kWarning = 'W', kError = 'E' };

// Threading: a constant.
struct AuditEventInfo {
  AuditEvent event;
  std::string_view name;
  std::string_view code;   // Without the severity's letter.
  AuditSeverity severity;  // Of a decision: when it allows; one that denies is a warning.
};

// In AuditEvent's order. A code is never given to another event.
inline constexpr auto kAuditEvents = std::to_array<AuditEventInfo>({
    {AuditEvent::kAuthOk, "auth.ok", "TD1001", AuditSeverity::kInfo},
    {AuditEvent::kAuthFail, "auth.fail", "TD1002", AuditSeverity::kWarning},
    {AuditEvent::kAuthRefused, "auth.refused", "TD1003", AuditSeverity::kWarning},
    {AuditEvent::kSessionOpen, "session.open", "TD1101", AuditSeverity::kInfo},
    {AuditEvent::kSessionClose, "session.close", "TD1102", AuditSeverity::kInfo},
    {AuditEvent::kSessionExpire, "session.expire", "TD1103", AuditSeverity::kInfo},
    {AuditEvent::kSessionForeign, "session.foreign", "TD1104", AuditSeverity::kWarning},
    {AuditEvent::kConnect, "transport.connect.decision", "TD2001", AuditSeverity::kInfo},
    {AuditEvent::kListen, "transport.listen.decision", "TD2002", AuditSeverity::kInfo},
    {AuditEvent::kAccept, "transport.accept.decision", "TD2003", AuditSeverity::kInfo},
    {AuditEvent::kSendto, "transport.sendto.decision", "TD2004", AuditSeverity::kInfo},
    {AuditEvent::kReceive, "transport.receive.decision", "TD2005", AuditSeverity::kInfo},
    {AuditEvent::kPath, "path.decision", "TD2006", AuditSeverity::kInfo},
    {AuditEvent::kOption, "option.decision", "TD2007", AuditSeverity::kInfo},
    {AuditEvent::kTls, "tls.decision", "TD2008", AuditSeverity::kInfo},
    {AuditEvent::kResolve, "resolve.decision", "TD2009", AuditSeverity::kInfo},
    {AuditEvent::kTransportClose, "transport.close", "TD2010", AuditSeverity::kInfo},
    {AuditEvent::kServerClose, "server.close", "TD2011", AuditSeverity::kInfo},
    {AuditEvent::kSendtoSummary, "transport.sendto.summary", "TD2012", AuditSeverity::kInfo},
    {AuditEvent::kTransportRevoke, "transport.revoke", "TD2013", AuditSeverity::kWarning},
    {AuditEvent::kRun, "process.spawn.decision", "TD3001", AuditSeverity::kInfo},
    {AuditEvent::kProcessExit, "process.exit", "TD3002", AuditSeverity::kInfo},
    {AuditEvent::kProcessUnconfined, "process.unconfined", "TD3003", AuditSeverity::kWarning},
    {AuditEvent::kAdmin, "admin.decision", "TD4001", AuditSeverity::kInfo},
    {AuditEvent::kQuotaReject, "quota.reject", "TD5001", AuditSeverity::kWarning},
    {AuditEvent::kPolicyLoad, "policy.load", "TD6001", AuditSeverity::kInfo},
    {AuditEvent::kPolicyReject, "policy.reject", "TD6002", AuditSeverity::kError},
    {AuditEvent::kIdentitiesLoad, "identities.load", "TD6003", AuditSeverity::kInfo},
    {AuditEvent::kIdentitiesReject, "identities.reject", "TD6004", AuditSeverity::kError},
    {AuditEvent::kCertificateLoad, "cert.load", "TD6005", AuditSeverity::kInfo},
    {AuditEvent::kCertificateReject, "cert.reject", "TD6006", AuditSeverity::kError},
    {AuditEvent::kServiceStart, "service.start", "TD7001", AuditSeverity::kInfo},
    {AuditEvent::kServiceStop, "service.stop", "TD7002", AuditSeverity::kInfo},
    {AuditEvent::kDrainBegin, "drain.begin", "TD7003", AuditSeverity::kInfo},
    {AuditEvent::kDrainEnd, "drain.end", "TD7004", AuditSeverity::kInfo},
    {AuditEvent::kAuditLost, "audit.lost", "TD8001", AuditSeverity::kError},
    {AuditEvent::kAuditReopen, "audit.reopen", "TD8002", AuditSeverity::kInfo},
});

constexpr const AuditEventInfo& InfoOf(AuditEvent event) { return kAuditEvents[static_cast<size_t>(event)]; }

// The event of a decision about such an action.
constexpr AuditEvent EventOf(ActionKind kind) {
  switch (kind) {
    case ActionKind::kSession:
      return AuditEvent::kSessionOpen;
    case ActionKind::kConnect:
      return AuditEvent::kConnect;
    case ActionKind::kSend:
      return AuditEvent::kSendto;
    case ActionKind::kListen:
      return AuditEvent::kListen;
    case ActionKind::kAccept:
      return AuditEvent::kAccept;
    case ActionKind::kReceive:
      return AuditEvent::kReceive;
    case ActionKind::kResolve:
      return AuditEvent::kResolve;
    case ActionKind::kRun:
      return AuditEvent::kRun;
    case ActionKind::kPath:
      return AuditEvent::kPath;
    case ActionKind::kOption:
      return AuditEvent::kOption;
    case ActionKind::kTls:
      return AuditEvent::kTls;
    case ActionKind::kAdmin:
      return AuditEvent::kAdmin;
  }
  return AuditEvent::kSessionOpen;
}

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_AUDIT_EVENTS_H_
