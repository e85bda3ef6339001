#include "server/policy/policy_guard.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/policy/address_class.h"
#include "server/policy/audit_record.h"
#include "server/policy/confinement_of.h"
#include "server/policy/datagram_audit.h"
#include "server/policy/program_name.h"
#include "transports/api/error.h"
#include "transports/base/mutex.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

std::string_view Verb(ActionKind kind, NeverToRun never = NeverToRun::kNothing) {
  if (never == NeverToRun::kName) return "a program another name than its executable's, or one that begins with '-'";
  if (never == NeverToRun::kAccount) return "a program of another user or group";
  switch (kind) {
    case ActionKind::kSession:
      return "a session";
    case ActionKind::kConnect:
      return "to connect there";
    case ActionKind::kSend:
      return "to send there";
    case ActionKind::kListen:
      return "to listen there";
    case ActionKind::kAccept:
      return "to accept it";
    case ActionKind::kReceive:
      return "to receive from there";
    case ActionKind::kResolve:
      return "to resolve this name";
    case ActionKind::kRun:
      return "to run this program so";
    case ActionKind::kPath:
      return "to use this path so";
    case ActionKind::kOption:
      return "to set this option";
    case ActionKind::kTls:
      return "TLS of this kind";
    case ActionKind::kAdmin:
      return "this method";
  }
  return "this";
}

// `/run/x`, `@name`.
std::string PathOf(const SocketAddress& address) {
  if (address.path.empty() || address.path.front() != '\0') return address.path;
  return StrCat("@", address.path.substr(1));
}

// An action that is remembered.
struct Granted {
  ActionKind kind = ActionKind::kSession;
  SocketAddress address = {};
  std::string path = {};
  PathUse use = PathUse::kNone;
  std::string folder = {};
  std::optional<Confinement> confinement = {};  // Of a program.
};

// What a session's operations share with it.
struct Context {
  PolicyServices services;
  Caller caller;
  AuditSession audit;
  QuotaTable::Lease session_lease = {};
  QuotaTable::Lease buffers = {};  // Of the guard's thread.

  Context(const PolicyServices& the_services, const Caller& the_caller, std::string_view session_id)
      : services(the_services), caller(the_caller), audit(session_id) {}

  Quota QuotaNow() const {
    const std::shared_ptr<const Policy> policy = services.policies->current();
    const v1::Quota* const all[] = {&policy->message().principal_quota()};
    return MergeQuotas(policy->QuotasFor(caller.principal), MergeQuotas(all, DefaultPrincipalQuota()));
  }

  absl::Status Reject(const absl::Status& status, std::string_view quota, std::string_view method) {
    AuditRecord record;
    record.event = AuditEvent::kQuotaReject;
    FillSession(record, caller, &audit);
    record.action = method;
    record.quota = quota;
    record.decision = AuditDecision::kDeny;
    services.audit->Write(record).IgnoreError();  // It is refused already.
    return status;
  }
  absl::StatusOr<QuotaTable::Lease> Take(QuotaKind kind, std::string_view method) {
    absl::StatusOr<QuotaTable::Lease> lease = services.quotas->Take(caller.principal, kind, QuotaNow());
    if (!lease.ok()) return Reject(lease.status(), NameOf(kind), method);
    return lease;
  }
  absl::Status Spend(RateKind kind, std::string_view method) {
    absl::Status status = services.quotas->Spend(caller.principal, kind, QuotaNow());
    return status.ok() ? status : Reject(status, NameOf(kind), method);
  }
};

class PolicyGate final : public OperationGate {
 public:
  PolicyGate(std::shared_ptr<Context> context, GuardedOperation operation, QuotaTable::Lease lease)
      : context_(std::move(context)), operation_(std::move(operation)), lease_(std::move(lease)) {}

  // SocketGate
  absl::Status MayConnect(const SocketAddress& remote) override {
    Action action = OfAddress(ActionKind::kConnect, PathUse::kConnect, remote);
    if (absl::Status status = context_->Spend(RateKind::kConnects, operation_.method); !status.ok()) return status;
    return JudgeAndKeep(action, remote);
  }

  absl::Status MaySend(const SocketAddress& remote) override {
    std::string path;
    const Action action = OfAddress(ActionKind::kSend, PathUse::kConnect, remote, &path);
    return JudgeDatagram(action, remote, sent_);
  }

  absl::StatusOr<std::vector<PortRange>> MayBind(const SocketAddress& local) override {
    std::string path;
    const Action action = OfAddress(ActionKind::kListen, PathUse::kListen, local, &path);
    std::shared_ptr<const Policy> policy;
    if (absl::Status status = JudgeAndKeep(action, local, &policy); !status.ok()) return status;
    if (local.family == AddressFamily::kUnix || local.port != 0) return std::vector<PortRange>();
    return policy->PortsFor(context_->caller.principal, action);
  }

  void HasBound(const SocketAddress& local, const SocketAddress& bound) override {
    MutexLock lock(mutex_);
    for (Granted& granted : granted_) {
      if (granted.kind != ActionKind::kListen || granted.address != local) continue;
      granted.address = bound;
      return;
    }
  }

  bool MayAccept(const SocketAddress& local, const SocketAddress& peer) override {
    if (local.family == AddressFamily::kUnix) return true;  // The permissions of its file say who may.
    Action action = OfAddress(ActionKind::kAccept, PathUse::kNone, peer);
    action.local = &local;
    const std::string requested = peer.ToString();
    return Judge(context_->services, context_->caller, &context_->audit, operation_.method, action, requested).ok();
  }

  bool MayReceive(const SocketAddress& peer) override {
    if (peer.family != AddressFamily::kInet && peer.family != AddressFamily::kInet6) return true;
    Action action = OfAddress(ActionKind::kReceive, PathUse::kNone, peer);
    const SocketAddress local = Bound();
    if (local.family != AddressFamily::kUnspecified) action.local = &local;
    return JudgeDatagram(action, peer, received_).ok();
  }

  uint64_t Generation() const override { return context_->services.policies->generation(); }

  absl::Status MayOpen(std::string_view path, bool is_write) override {
    Action action;
    action.kind = ActionKind::kPath;
    action.path = path;
    action.use = is_write ? PathUse::kWrite : PathUse::kRead;
    return AskAndKeep(action, {.kind = action.kind, .path = std::string(path), .use = action.use});
  }

  bool ForbidsSymlinks() const override { return true; }

  // SubprocessGate
  absl::StatusOr<std::optional<Confinement>> MayRun(std::string_view program, std::string_view cwd) override {
    if (absl::Status status = context_->Spend(RateKind::kSpawns, operation_.method); !status.ok()) return status;
    const std::vector<std::string_view> args(operation_.args.begin(), operation_.args.end());
    const std::vector<std::string_view> env_names(operation_.env_names.begin(), operation_.env_names.end());
    Action action;
    action.kind = ActionKind::kRun;
    action.path = program;
    action.is_misnamed = !IsNameOfProgram(operation_.program_name, program);
    action.args = args;
    action.env_names = env_names;
    action.folder = cwd;
    Decision decision;
    std::shared_ptr<const Policy> policy;
    const uint64_t generation = Generation();
    if (absl::Status status = Ask(action, {}, &decision, &policy); !status.ok()) return status;
    Confinement confinement = ConfinementOf(*decision.run);
    Keep({.kind = action.kind, .path = std::string(program), .folder = std::string(cwd), .confinement = confinement});
    if (absl::Status status = AskAgain(generation, action); !status.ok()) return status;
    return confinement;
  }

  // OperationGate
  bool StillAllows(const SocketAddress* sockname, const SocketAddress* peername, bool accepted) const override {
    if (context_->services.keep) return true;
    const std::shared_ptr<const Policy> policy = context_->services.policies->current();
    const std::string& principal = context_->caller.principal;
    if (accepted) {
      if (sockname == nullptr || peername == nullptr || sockname->family == AddressFamily::kUnix) return true;
      Action action = OfAddress(ActionKind::kAccept, PathUse::kNone, *peername);
      action.local = sockname;
      return policy->Decide(principal, action).allowed;
    }
    const std::vector<std::string_view> args(operation_.args.begin(), operation_.args.end());
    const std::vector<std::string_view> env_names(operation_.env_names.begin(), operation_.env_names.end());
    MutexLock lock(mutex_);
    const auto is_peer = [peername](const Granted& granted) {
      return granted.kind == ActionKind::kConnect && peername != nullptr && granted.address == *peername;
    };
    // Where the peer calls itself otherwise than it was dialled, as 0.0.0.0 does, every attempt must be allowed.
    const bool knows_peer = std::any_of(granted_.begin(), granted_.end(), is_peer);
    const auto still_allows = [&](const Granted& granted) {
      Action action;
      action.kind = granted.kind;
      action.protocol = operation_.protocol;
      if (granted.address.family != AddressFamily::kUnspecified) action.address = &granted.address;
      action.host = operation_.host;
      action.path = granted.path;
      action.use = granted.use;
      action.folder = granted.folder;
      if (granted.kind == ActionKind::kRun) {
        action.args = args;
        action.env_names = env_names;
      }
      const Decision decision = policy->Decide(principal, action);
      if (!decision.allowed || !granted.confinement) return decision.allowed;
      return IsWithin(*granted.confinement, ConfinementOf(*decision.run));
    };
    bool has_attempt = false;
    bool may_attempt = false;
    for (const Granted& granted : granted_) {
      if (granted.kind == ActionKind::kConnect && peername == nullptr) {
        has_attempt = true;
        may_attempt |= still_allows(granted);
      } else if (granted.kind == ActionKind::kConnect && knows_peer && !is_peer(granted)) {
        // An attempt that led nowhere.
      } else if (!still_allows(granted)) {
        return false;
      }
    }
    return !has_attempt || may_attempt;
  }

  void NotConfined(std::span<const ConfinementStep> steps) override {
    std::string names;
    for (const ConfinementStep step : steps) names += StrCat(names.empty() ? "" : ", ", ConfinementStepName(step));
    AuditRecord record;
    record.event = AuditEvent::kProcessUnconfined;
    FillSession(record, context_->caller, &context_->audit);
    record.action = operation_.method;
    record.resource.requested = operation_.requested;
    record.confinement = names;
    context_->services.audit->Write(record).IgnoreError();  // Its grant allows it.
  }

  void Closed(const OperationEnd& end) override {
    AuditRecord record;
    FillSession(record, context_->caller, &context_->audit);
    record.transport = end.transport_id;
    if (operation_.kind == GuardedOperation::Kind::kDatagram) {
      sent_.WriteSummaries(*context_->services.audit, record);
      received_.WriteSummaries(*context_->services.audit, record);
    }
    record.event = end.cause == "POLICY_REVOKED"                                         ? AuditEvent::kTransportRevoke
                   : operation_.kind == GuardedOperation::Kind::kSubprocess              ? AuditEvent::kProcessExit
                   : operation_.kind == GuardedOperation::Kind::kServer && !end.accepted ? AuditEvent::kServerClose
                                                                                         : AuditEvent::kTransportClose;
    record.action = operation_.method;
    record.resource.requested = operation_.requested;
    record.bytes_in = end.received_bytes;
    record.bytes_out = end.sent_bytes;
    record.duration = std::chrono::duration_cast<std::chrono::microseconds>(end.duration);
    record.returncode = end.returncode;
    record.cause = end.cause;
    context_->services.audit->Write(record).IgnoreError();  // An end allows nothing.
  }

 private:
  // `path` holds what the action points to, of a Unix socket.
  Action OfAddress(ActionKind kind, PathUse use, const SocketAddress& address, std::string* path) const {
    Action action = OfAddress(kind, use, address);
    if (address.family == AddressFamily::kUnix) {
      *path = PathOf(address);
      action.path = *path;
    }
    return action;
  }
  Action OfAddress(ActionKind kind, PathUse use, const SocketAddress& address) const {
    Action action;
    action.kind = kind;
    action.protocol = operation_.protocol;
    action.host = operation_.host;
    if (address.family == AddressFamily::kUnix) {
      action.kind = ActionKind::kPath;
      action.use = use;
      action.protocol = ActionProtocol::kNone;
    } else {
      action.address = &address;
    }
    return action;
  }

  absl::Status Ask(const Action& action, std::string_view requested, Decision* decision = nullptr,
                   std::shared_ptr<const Policy>* policy = nullptr) {
    return Judge(context_->services, context_->caller, &context_->audit, operation_.method, action,
                 requested.empty() ? std::string_view(operation_.requested) : requested, decision, policy);
  }

  absl::Status JudgeAndKeep(Action action, const SocketAddress& address,
                            std::shared_ptr<const Policy>* policy = nullptr) {
    const std::string path = address.family == AddressFamily::kUnix ? PathOf(address) : std::string();
    if (!path.empty()) action.path = path;
    return AskAndKeep(action,
                      {.kind = action.kind,
                       .address = address.family == AddressFamily::kUnix ? SocketAddress() : address,
                       .path = path,
                       .use = action.use},
                      policy);
  }

  // A record for the first of each kind alone.
  absl::Status JudgeDatagram(const Action& action, const SocketAddress& address, DatagramAudit& audit) {
    const std::shared_ptr<const Policy> policy = context_->services.policies->current();
    const bool allowed = policy->Decide(context_->caller.principal, action).allowed;
    if (audit.Count(address, allowed, 0)) {
      absl::Status status = Ask(action, address.ToString());
      if (!status.ok() && allowed) audit.Uncount(address, allowed, 0);
      return status;
    }
    if (allowed) return absl::OkStatus();
    return MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED",
                     StrCat("the policy does not allow ", Verb(action.kind)));
  }

  absl::Status AskAndKeep(const Action& action, Granted granted, std::shared_ptr<const Policy>* policy = nullptr) {
    const uint64_t generation = Generation();
    if (absl::Status status = Ask(action, {}, nullptr, policy); !status.ok()) return status;
    Keep(std::move(granted));
    return AskAgain(generation, action);
  }
  // A policy that came while something was asked and kept was not asked, and may not have found what is kept.
  absl::Status AskAgain(uint64_t generation, const Action& action) {
    return generation == Generation() ? absl::OkStatus() : Ask(action, {});
  }
  void Keep(Granted granted) {
    MutexLock lock(mutex_);
    granted_.push_back(std::move(granted));
  }
  // The first address that was bound.
  SocketAddress Bound() const {
    MutexLock lock(mutex_);
    for (const Granted& granted : granted_) {
      if (granted.kind == ActionKind::kListen) return granted.address;
    }
    return {};
  }

  const std::shared_ptr<Context> context_;
  const GuardedOperation operation_;
  const QuotaTable::Lease lease_;  // Of a server or a process; else empty.
  DatagramAudit sent_;
  DatagramAudit received_;

  mutable Mutex mutex_;
  std::vector<Granted> granted_ ABSL_GUARDED_BY(mutex_);
};

class PolicyGuard final : public SessionGuard {
 public:
  explicit PolicyGuard(std::shared_ptr<Context> context) : context_(std::move(context)) {}
  // What it has opened may be there for longer.
  ~PolicyGuard() override { context_->buffers.Release(); }

  absl::Status Check(std::string_view method, const Action& action) override {
    if (action.kind == ActionKind::kResolve) {
      if (absl::Status status = context_->Spend(RateKind::kResolutions, method); !status.ok()) return status;
    }
    if (action.kind == ActionKind::kRun) {
      if (absl::Status status = context_->Spend(RateKind::kSpawns, method); !status.ok()) return status;
    }
    return Judge(context_->services, context_->caller, &context_->audit, method, action);
  }

  absl::StatusOr<std::shared_ptr<OperationGate>> Begin(GuardedOperation operation) override {
    QuotaTable::Lease lease;
    if (operation.kind == GuardedOperation::Kind::kServer || operation.kind == GuardedOperation::Kind::kSubprocess) {
      const bool is_server = operation.kind == GuardedOperation::Kind::kServer;
      absl::StatusOr<QuotaTable::Lease> taken =
          context_->Take(is_server ? QuotaKind::kListeners : QuotaKind::kProcesses, operation.method);
      if (!taken.ok()) return taken.status();
      lease = *std::move(taken);
    }
    return std::make_shared<PolicyGate>(context_, std::move(operation), std::move(lease));
  }

  absl::StatusOr<std::shared_ptr<void>> TakeTransport() override {
    absl::StatusOr<QuotaTable::Lease> lease = context_->Take(QuotaKind::kTransports, {});
    if (!lease.ok()) return lease.status();
    return std::make_shared<QuotaTable::Lease>(*std::move(lease));
  }

  bool StillAllows(const Action& action) const override {
    if (context_->services.keep) return true;
    return context_->services.policies->current()->Decide(context_->caller.principal, action).allowed;
  }

  Bounds GetBounds() const override {
    const Quota quota = context_->QuotaNow();
    const uint64_t buffered_bytes = quota[QuotaKind::kBufferedBytes];
    return {.age = quota.session_age,
            .idle = quota.session_idle,
            .buffered_bytes = buffered_bytes,
            .buffered_share_bytes = buffered_bytes / std::max<uint64_t>(1, quota[QuotaKind::kSessions])};
  }

  void SetBufferedBytes(uint64_t bytes) override { context_->buffers.Set(bytes); }
  uint64_t PrincipalBufferedBytes() const override { return context_->buffers.PrincipalAmount(); }

  void Closed(std::string_view cause, bool expired) override {
    AuditRecord record;
    record.event = expired ? AuditEvent::kSessionExpire : AuditEvent::kSessionClose;
    FillSession(record, context_->caller, &context_->audit);
    record.cause = cause;
    context_->services.audit->Write(record).IgnoreError();  // An end allows nothing.
  }

 private:
  const std::shared_ptr<Context> context_;
};

}  // namespace

void FillSession(AuditRecord& record, const Caller& caller, AuditSession* session) {
  record.session = session;
  record.principal = caller.principal;
  record.auth_method = caller.method;
  record.credential = caller.credential;
  record.peer = caller.peer;
  record.trace_id = caller.trace.trace_id;
  record.span_id = caller.trace.span_id;
}

absl::Status Judge(const PolicyServices& services, const Caller& caller, AuditSession* session, std::string_view method,
                   const Action& action, std::string_view requested, Decision* decision_out,
                   std::shared_ptr<const Policy>* policy_out) {
  const std::shared_ptr<const Policy> policy = services.policies->current();
  const std::shared_ptr<const Policy> shadow = services.policies->shadow();
  const Decision decision = policy->Decide(caller.principal, action);
  if (decision_out != nullptr) *decision_out = decision;
  if (policy_out != nullptr) *policy_out = policy;

  AuditRecord record;
  record.event = EventOf(action.kind);
  FillSession(record, caller, session);
  record.action = method;
  const std::string resolved = action.address != nullptr ? action.address->ToString() : std::string();
  record.resource.requested = !requested.empty() ? requested : !action.host.empty() ? action.host : action.name;
  record.resource.resolved = resolved;
  if (action.address != nullptr) record.resource.address_class = AddressClassName(decision.address_class);
  if (action.kind == ActionKind::kRun) {
    record.resource.program = action.path;
    record.resource.path = action.folder;
  } else {
    record.resource.path = action.path;
  }
  record.resource.args = action.args;
  record.resource.env_names = action.env_names;
  record.decision = decision.allowed ? AuditDecision::kAllow : AuditDecision::kDeny;
  record.rule = decision.rule;
  record.policy_version = policy->message().version();
  record.policy_sha256 = policy->sha256();
  if (shadow != nullptr) {
    const Decision other = shadow->Decide(caller.principal, action);
    record.shadow = other.allowed ? AuditDecision::kAllow : AuditDecision::kDeny;
    record.shadow_rule = other.rule;
  }
  if (decision.allowed) return services.audit->Write(record);
  const std::string uid = services.audit->NewUid();
  record.uid = uid;
  services.audit->Write(record).IgnoreError();  // It is refused already.
  return MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED",
                   StrCat("the policy does not allow ", Verb(action.kind, action.never),
                          "; the operator finds why in the audit log, record ", uid));
}

absl::StatusOr<std::unique_ptr<SessionGuard>> OpenPolicyGuard(const PolicyServices& services, const Caller& caller,
                                                              std::string_view session_id) {
  auto context = std::make_shared<Context>(services, caller, session_id);
  absl::StatusOr<QuotaTable::Lease> lease = context->Take(QuotaKind::kSessions, "transportd.v1.EventLoop.OpenSession");
  if (!lease.ok()) return lease.status();
  context->session_lease = *std::move(lease);
  absl::StatusOr<QuotaTable::Lease> buffers =
      services.quotas->Take(caller.principal, QuotaKind::kBufferedBytes, Quota(), /*amount=*/0);
  if (!buffers.ok()) return buffers.status();
  context->buffers = *std::move(buffers);
  if (absl::Status status = Judge(services, caller, &context->audit, "transportd.v1.EventLoop.OpenSession", Action());
      !status.ok()) {
    return status;
  }
  return std::make_unique<PolicyGuard>(std::move(context));
}

}  // namespace transportd
