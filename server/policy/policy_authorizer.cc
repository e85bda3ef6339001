#include "server/policy/policy_authorizer.h"

#include <string_view>

#include "server/policy/audit_record.h"
#include "server/policy/request_check.h"
#include "transportd/v1/admin.pb.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// What an open session does with what it has. Its guard was asked when it was opened, and ends it when it may no longer
// be there; where a datagram goes its endpoint's gate decides.
bool IsHot(std::string_view method) {
  return method == "transportd.v1.Transport.Write" || method == "transportd.v1.DatagramTransport.SendTo";
}

// What an operator ends, for the record: METHOD SESSION or METHOD SESSION/ID; empty: the method says it all.
std::string AdminTarget(const Access& access) {
  const std::string method(access.method.substr(access.method.rfind('.') + 1));
  if (const auto* const end = dynamic_cast<const v1::EndSessionRequest*>(access.request)) {
    return StrCat(method, " ", end->session_prefix().substr(0, 8));
  }
  if (const auto* const end = dynamic_cast<const v1::EndTransportRequest*>(access.request)) {
    return StrCat(method, " ", end->session_prefix().substr(0, 8), "/", end->transport_id());
  }
  return "";
}

std::string_view LastPart(std::string_view method) { return method.substr(method.rfind('.') + 1); }

}  // namespace

absl::Status PolicyAuthorizer::Authorize(const Caller& caller, const Access& access) const {
  if (caller.principal.empty()) {
    return MakeError(absl::StatusCode::kUnauthenticated, "NO_PRINCIPAL", "the caller was not identified");
  }
  constexpr std::string_view kAdmin = "transportd.v1.Admin.";
  constexpr std::string_view kReflection = "grpc.reflection.";
  if (access.method.starts_with(kAdmin) || access.method.starts_with(kReflection)) {
    Action action;
    action.kind = ActionKind::kAdmin;
    action.name = LastPart(access.method);
    return Judge(services_, caller, /*session=*/nullptr, access.method, action, AdminTarget(access));
  }
  if (access.guard != nullptr) {
    if (IsHot(access.method) || access.request == nullptr) return absl::OkStatus();
    return CheckRequest(*access.guard, access.method, *access.request);
  }
  // Nothing is recorded when it is allowed: the session that is opened or used says more.
  if (services_.policies->current()->Decide(caller.principal, Action()).allowed) return absl::OkStatus();
  return Judge(services_, caller, /*session=*/nullptr, access.method, Action());
}

void PolicyAuthorizer::NamedForeignSession(const Caller& caller) const {
  AuditRecord record;
  record.event = AuditEvent::kSessionForeign;
  FillSession(record, caller, /*session=*/nullptr);
  services_.audit->Write(record).IgnoreError();  // It is refused already.
}

}  // namespace transportd
