#include "server/ops/security.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <utility>
#include <vector>

#include "server/listen/listen_address.h"
#include "server/ops/address_watcher.h"
#include "server/ops/certificate_status.h"
#include "server/ops/file_watcher.h"
#include "server/policy/audit_log.h"
#include "server/policy/dev_authorizer.h"
#include "server/policy/dev_identifier.h"
#include "server/policy/file_identifier.h"
#include "server/policy/ip_address.h"
#include "server/policy/policy_authorizer.h"
#include "server/policy/policy_store.h"
#include "server/policy/quota.h"
#include "server/policy/self_addresses.h"
#include "transports/api/error.h"
#include "transports/base/logging.h"
#include "transports/base/mutex.h"
#include "transports/base/str_cat.h"
#include "transports/base/utf8.h"
#include "transports/loop/loop_thread.h"

namespace transportd {
namespace {

// When a file could not be read for want of what others may give back.
constexpr std::chrono::seconds kRetry(1);

bool IsWant(const absl::Status& status) {
  const int error = status.ok() ? 0 : ToTransportError(status).errno_number;
  return error == EMFILE || error == ENFILE || error == ENOMEM;
}

void ToProto(std::chrono::system_clock::time_point time, google::protobuf::Timestamp& out) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  out.set_seconds(whole.time_since_epoch().count());
  out.set_nanos(static_cast<int32_t>(std::chrono::nanoseconds(time - whole).count()));
}

class DevSecurity final : public Security {
 public:
  const Identifier& identifier() const override { return identifier_; }
  const Authorizer& authorizer() const override { return authorizer_; }
  const ServiceCertificateStore* certificate() const override { return nullptr; }
  bool certificates_only() const override { return false; }
  ConnectionGuard* connection_guard() override { return nullptr; }
  ConnectionGuard* health_guard() override { return nullptr; }
  ConnectionGuard* admin_guard() override { return nullptr; }
  absl::Status SetOwnAddresses(std::span<const SocketAddress> /*addresses*/) override { return absl::OkStatus(); }
  absl::Status StartReloading(absl::AnyInvocable<void()> /*on_policy*/) override { return absl::OkStatus(); }
  void StopReloading() override {}
  void Reload() override {}
  void Describe(v1::GetStatusResponse& /*status*/) const override {}
  std::optional<SecurityStats> Stats() const override { return std::nullopt; }
  void Record(AuditEvent /*event*/) override {}

 private:
  DevIdentifier identifier_;
  DevAuthorizer authorizer_;
};

absl::StatusOr<SelfAddresses> NamedSelf(const Options& options) {
  SelfAddresses self;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets the environment once threads run.
  self.AddEnvironment([](const char* name) -> const char* { return std::getenv(name); });
  for (const std::string& text : options.self_addresses) {
    const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
    const std::optional<IpAddress> ip = address.ok() ? IpAddress::From(address->address) : std::nullopt;
    if (!ip || address->address.port == 0) {
      return InvalidArgument("BAD_CONFIGURATION", "",
                             StrCat("--self-address=", text, ": must be ADDRESS:PORT or [ADDRESS]:PORT, in numbers"));
    }
    self.Add(*ip, address->address.port, ActionProtocol::kTcp);
  }
  return self;
}

// Of a file that could not be used, or was: what the log and the audit log say.
class PolicySecurity final : public Security {
 public:
  static absl::StatusOr<std::unique_ptr<Security>> Create(const Options& options) {
    auto security = std::make_unique<PolicySecurity>();
    security->options_ = options;
    if (absl::Status status = security->Open(); !status.ok()) return status;
    return security;
  }

  ~PolicySecurity() override { PolicySecurity::StopReloading(); }

  const Identifier& identifier() const override { return *identifier_; }
  const Authorizer& authorizer() const override { return *authorizer_; }
  const ServiceCertificateStore* certificate() const override { return certificate_.get(); }
  bool certificates_only() const override { return options_.identities.empty(); }
  ConnectionGuard* connection_guard() override { return connection_guard_.get(); }
  ConnectionGuard* health_guard() override { return health_guard_.get(); }
  ConnectionGuard* admin_guard() override { return admin_guard_.get(); }

  absl::Status SetOwnAddresses(std::span<const SocketAddress> addresses) override {
    absl::StatusOr<SelfAddresses> self = NamedSelf(options_);
    if (!self.ok()) return self.status();
    for (const SocketAddress& address : addresses) {
      // At every address of this host: which of them lead there is for the routing to say.
      if (address.family != AddressFamily::kUnix) self->AddOwnPort(address.port, ActionProtocol::kTcp);
    }
    return policies_->SetSelf(*std::move(self));
  }

  absl::Status StartReloading(absl::AnyInvocable<void()> on_policy) override {
    on_policy_ = std::move(on_policy);
    absl::StatusOr<std::unique_ptr<LoopThread>> thread = LoopThread::Create({}, "reload");
    if (!thread.ok()) return thread.status();
    thread_ = *std::move(thread);
    absl::Status status;
    thread_->PostAndWait([&] { status = Watch(); });
    return status;
  }

  void StopReloading() override {
    if (thread_ == nullptr) return;
    // The watchers are the loop's.
    thread_->PostAndWait([this] {
      watcher_.reset();
      address_watcher_.reset();
    });
    thread_.reset();
  }

  void Reload() override {
    if (thread_ != nullptr) {
      thread_->Post([this] {
        reopen_audit_ = true;
        ReadAgain();
      });
    }
  }

  void Record(AuditEvent event) override { Write(event, "", absl::OkStatus(), *policies_->current()); }

  void Describe(v1::GetStatusResponse& status) const override {
    DescribePolicy(*status.mutable_policy());
    if (certificate_ != nullptr) {
      *status.add_certificates() = DescribeCertificate("service", certificate_->current()->certificate_chain_pem);
    }
    const QuotaUsage usage = quotas_->Usage();
    const auto add_quota = [&status](const std::string& principal, const auto& held) {
      v1::QuotaStatus& quota = *status.add_quotas();
      quota.set_principal(principal);
      const auto of = [&held](QuotaKind kind) { return held[static_cast<size_t>(kind)]; };
      quota.set_sessions(of(QuotaKind::kSessions));
      quota.set_transports(of(QuotaKind::kTransports));
      quota.set_listeners(of(QuotaKind::kListeners));
      quota.set_processes(of(QuotaKind::kProcesses));
      quota.set_buffered_bytes(of(QuotaKind::kBufferedBytes));
    };
    add_quota("", usage.held);
    for (const QuotaUsage::Principal& principal : usage.principals) add_quota(principal.principal, principal.held);
    const AuditCounts counts = audit_->Counts();
    v1::AuditStatus& audit = *status.mutable_audit();
    audit.set_healthy(audit_->Healthy());
    audit.set_written_count(counts.written_count);
    audit.set_lost_count(counts.lost_count);
    audit.set_queued_count(counts.queued_count);
    for (AuditTally::Denial& from : audit_->tally().Denials()) {
      v1::Denial& denial = *status.add_denials();
      ToProto(from.time, *denial.mutable_time());
      denial.set_principal(std::move(from.principal));
      denial.set_session_prefix(std::move(from.session_prefix));
      denial.set_event(std::string(InfoOf(from.event).name));
      denial.set_action(std::move(from.action));
      denial.set_requested(Utf8OrEscaped(from.requested));
      denial.set_resolved(Utf8OrEscaped(from.resolved));
      denial.set_rule(std::move(from.rule));
      denial.set_uid(std::move(from.uid));
    }
  }

  std::optional<SecurityStats> Stats() const override {
    SecurityStats stats;
    stats.records = audit_->tally().Counts();
    stats.audit = audit_->Counts();
    stats.quotas = quotas_->Usage();
    MutexLock lock(files_mutex_);
    for (const auto& [kind, file] : files_) {
      stats.files.push_back({.kind = kind, .is_good = file.error.empty(), .load_time = file.load_time});
    }
    return stats;
  }

 private:
  // What became of a file when it was last read.
  struct FileState {
    std::string error;  // Empty: it is in force.
    std::chrono::system_clock::time_point load_time = {};
  };

  void DescribePolicy(v1::PolicyStatus& status) const {
    const std::shared_ptr<const Policy> policy = policies_->current();
    status.set_file(options_.policy);
    status.set_version(policy->message().version());
    status.set_sha256(std::string(policy->sha256()));
    if (const std::shared_ptr<const Policy> shadow = policies_->shadow()) {
      status.set_shadow_sha256(std::string(shadow->sha256()));
    }
    MutexLock lock(files_mutex_);
    const FileState& file = files_.at("policy");
    ToProto(file.load_time, *status.mutable_load_time());
    status.set_error(file.error);
  }

  void NoteFile(std::string_view kind, const absl::Status& status, bool is_another) {
    MutexLock lock(files_mutex_);
    FileState& file = files_[kind];
    file.error = status.ok() ? std::string() : ToTransportError(status).message;
    if (status.ok() && is_another) file.load_time = std::chrono::system_clock::now();
  }

  absl::Status Open() {
    absl::StatusOr<SelfAddresses> self = NamedSelf(options_);
    if (!self.ok()) return self.status();
    absl::StatusOr<std::unique_ptr<PolicyStore>> policies =
        PolicyStore::Create({.file = options_.policy, .shadow_file = options_.shadow_policy, .self = *std::move(self)});
    if (!policies.ok()) return policies.status();
    policies_ = *std::move(policies);
    absl::StatusOr<std::unique_ptr<FileIdentifier>> identifier = FileIdentifier::Create(options_.identities);
    if (!identifier.ok()) return identifier.status();
    identifier_ = *std::move(identifier);
    if (!options_.tls_certificate.empty()) {
      absl::StatusOr<std::unique_ptr<ServiceCertificateStore>> certificate = ServiceCertificateStore::Create(
          {.certificate = options_.tls_certificate, .key = options_.tls_key, .client_ca = options_.tls_client_ca});
      if (!certificate.ok()) return certificate.status();
      certificate_ = *std::move(certificate);
    }
    absl::StatusOr<AuditTarget> target = ParseAuditTarget(options_.audit_log);
    if (!target.ok()) return target.status();
    AuditLogOptions audit;
    audit.target = *target;
    audit.on_failure = options_.refuse_without_audit ? AuditOnFailure::kDeny : AuditOnFailure::kContinue;
    audit.on_health = [](const absl::Status& status) {
      if (status.ok()) {
        LogInfo("the audit log can be written again");
      } else {
        LogError("the audit log cannot be written: ", ToTransportError(status).message);
      }
    };
    absl::StatusOr<std::unique_ptr<AuditLog>> log = AuditLog::Create(std::move(audit));
    if (!log.ok()) return log.status();
    audit_ = *std::move(log);
    connection_guard_ = std::make_unique<ConnectionGuard>(options_.per_source, *audit_);
    health_guard_ = std::make_unique<ConnectionGuard>(
        PerSourceOptions{.max_total_open_count = 256, .refuse_after_failures = false}, *audit_);
    admin_guard_ = std::make_unique<ConnectionGuard>(PerSourceOptions{.refuse_after_failures = false}, *audit_);
    quotas_ = std::make_unique<QuotaTable>(ServiceQuota());
    authorizer_ = std::make_unique<PolicyAuthorizer>(PolicyServices{
        .policies = policies_.get(), .audit = audit_.get(), .quotas = quotas_.get(), .keep = options_.keep_on_reload});
    for (const auto& [kind, file] : {std::pair{"policy", &options_.policy},
                                     {"shadow_policy", &options_.shadow_policy},
                                     {"identities", &options_.identities},
                                     {"certificate", &options_.tls_certificate}}) {
      if (!file->empty()) NoteFile(kind, absl::OkStatus(), /*is_another=*/true);
    }
    return absl::OkStatus();
  }

  // Besides ServiceLimits, which are flags.
  Quota ServiceQuota() const {
    const std::shared_ptr<const Policy> policy = policies_->current();
    const v1::Quota* const all[] = {&policy->message().service_quota()};
    return MergeQuotas(all, Quota());
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> files = identifier_->Files();
    for (const std::string* file : {&options_.policy, &options_.shadow_policy, &options_.tls_certificate,
                                    &options_.tls_key, &options_.tls_client_ca}) {
      if (!file->empty()) files.push_back(*file);
    }
    return files;
  }

  absl::Status Watch() {
    watched_files_ = Files();
    auto watcher = FileWatcher::Create(thread_->loop().reactor(), watched_files_, [this] { ReadAgain(); });
    if (!watcher.ok()) return watcher.status();
    watcher_ = *std::move(watcher);
    auto addresses = AddressWatcher::Create(thread_->loop().reactor(), [this] { RefreshSelf(); });
    if (addresses.ok()) {
      address_watcher_ = *std::move(addresses);
    } else {
      LogWarning("addresses that this host gets later are not class SELF before the policy is read again: ",
                 ToTransportError(addresses.status()).message);
    }
    RefreshSelf();  // Some may have come since they were last looked at.
    return absl::OkStatus();
  }

  // Until it succeeds the service can be reached through itself at addresses that are new.
  void RefreshSelf() {
    const absl::Status status = policies_->RefreshSelf();
    const bool failed_before = std::exchange(self_failed_, !status.ok());
    if (status.ok()) return;
    if (!failed_before) LogError("SELF: ", ToTransportError(status).message);
    if (self_timer_ != 0) return;
    self_timer_ = thread_->loop().CallLater(kRetry, [this] {
      self_timer_ = 0;
      RefreshSelf();
    });
  }

  void ReadAgain() {
    if (std::exchange(reopen_audit_, false)) {
      const absl::Status status = audit_->Reopen();
      reopen_audit_ = IsWant(status);
      wants_again_ = reopen_audit_;
      if (!status.ok() && !(wants_again_ && wants_)) LogError("the audit log: ", ToTransportError(status).message);
    }
    const PolicyStore::Reloaded policies = policies_->Reload();
    const bool is_another = policies.current.is_another;
    if (is_another) quotas_->SetService(ServiceQuota());
    Tell("policy", policies.current.status, AuditEvent::kPolicyLoad, AuditEvent::kPolicyReject, options_.policy,
         is_another);
    Tell("shadow_policy", policies.shadow.status, AuditEvent::kPolicyLoad, AuditEvent::kPolicyReject,
         options_.shadow_policy, policies.shadow.is_another);
    absl::Status identities = identifier_->Reload();
    // Identities name files of their own; and SIGHUP is for what went unnoticed.
    if (watcher_ != nullptr) {
      const std::vector<std::string> old_files = std::exchange(watched_files_, Files());
      watcher_->SetFiles(watched_files_);
      // A file that is watched from now on may have come since it was read.
      if (watched_files_ != old_files) identities = identifier_->Reload();
    }
    Tell("identities", identities, AuditEvent::kIdentitiesLoad, AuditEvent::kIdentitiesReject, options_.identities,
         true);
    if (certificate_ != nullptr) {
      const std::shared_ptr<const ServiceCertificate> old = certificate_->current();
      const absl::Status certificate = certificate_->Reload();
      Tell("certificate", certificate, AuditEvent::kCertificateLoad, AuditEvent::kCertificateReject,
           options_.tls_certificate,
           certificate_->current()->certificate_chain_pem != old->certificate_chain_pem ||
               certificate_->current()->client_ca_pem != old->client_ca_pem);
    }
    wants_ = std::exchange(wants_again_, false);
    if (wants_ && retry_timer_ == 0) {
      retry_timer_ = thread_->loop().CallLater(kRetry, [this] {
        retry_timer_ = 0;
        ReadAgain();
      });
    }
    if (is_another) on_policy_();
  }

  // Of a file that was read again. `is_another`: it was not the same as before.
  void Tell(std::string_view kind, const absl::Status& status, AuditEvent loaded, AuditEvent rejected,
            const std::string& file, bool is_another) {
    if (!file.empty()) NoteFile(kind, status, is_another);
    const bool is_want = IsWant(status);
    wants_again_ |= is_want;
    if (is_want && wants_) return;
    if (!status.ok()) LogError(file, " cannot be used, the last good one stays: ", ToTransportError(status).message);
    if (status.ok() && (!is_another || file.empty())) return;
    const std::shared_ptr<const Policy> policy =
        &file == &options_.shadow_policy ? policies_->shadow() : policies_->current();
    Write(status.ok() ? loaded : rejected, file, status, *policy);
  }
  void Write(AuditEvent event, const std::string& file, const absl::Status& status, const Policy& policy) {
    const std::string message = status.ok() ? std::string() : ToTransportError(status).message;
    AuditRecord record;
    record.event = event;
    record.resource.path = file;
    record.policy_version = policy.message().version();
    record.policy_sha256 = policy.sha256();
    record.cause = message;
    audit_->Write(record).IgnoreError();  // It allows nothing.
  }

  Options options_;
  std::unique_ptr<PolicyStore> policies_;
  std::unique_ptr<FileIdentifier> identifier_;
  std::unique_ptr<ServiceCertificateStore> certificate_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<ConnectionGuard> connection_guard_;
  std::unique_ptr<ConnectionGuard> health_guard_;
  std::unique_ptr<ConnectionGuard> admin_guard_;
  std::unique_ptr<QuotaTable> quotas_;
  std::unique_ptr<PolicyAuthorizer> authorizer_;

  mutable Mutex files_mutex_;
  std::map<std::string_view, FileState> files_ ABSL_GUARDED_BY(files_mutex_);  // By kind: those that were given.

  absl::AnyInvocable<void()> on_policy_;
  bool reopen_audit_ = false;
  // The thread's: a file could not be read for want of descriptors or memory, which was told; and so this time.
  bool wants_ = false;
  bool wants_again_ = false;
  TimerId retry_timer_ = 0;
  bool self_failed_ = false;  // The thread's, as is the next.
  TimerId self_timer_ = 0;
  std::vector<std::string> watched_files_;           // The thread's.
  std::unique_ptr<FileWatcher> watcher_;             // The thread's.
  std::unique_ptr<AddressWatcher> address_watcher_;  // The thread's; null where the kernel tells nothing.
  std::unique_ptr<LoopThread> thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Security>> Security::Create(const Options& options) {
  if (options.dev) return std::make_unique<DevSecurity>();
  return PolicySecurity::Create(options);
}

}  // namespace transportd
