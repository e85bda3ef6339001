#include "server/policy/policy_store.h"

#include <utility>

#include "server/policy/policy_file.h"

namespace transportd {
namespace {

absl::StatusOr<std::shared_ptr<const Policy>> ReadOne(const std::string& file, const SelfAddresses& self) {
  absl::StatusOr<v1::Policy> policy = ReadPolicyFile(file);
  if (!policy.ok()) return policy.status();
  return Policy::Compile(*std::move(policy), self);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PolicyStore>> PolicyStore::Create(Options options) {
  absl::StatusOr<Policies> policies = Read(options);
  if (!policies.ok()) return policies.status();
  return std::unique_ptr<PolicyStore>(new PolicyStore(std::move(options), *std::move(policies)));
}

PolicyStore::PolicyStore(Options options, Policies policies)
    : options_(std::move(options)), policies_(std::move(policies)) {}

absl::StatusOr<PolicyStore::Policies> PolicyStore::Read(const Options& options) {
  const absl::StatusOr<SelfAddresses> self = AllSelf(options);
  if (!self.ok()) return self.status();
  Policies policies;
  absl::StatusOr<std::shared_ptr<const Policy>> current = ReadOne(options.file, *self);
  if (!current.ok()) return current.status();
  policies.current = *std::move(current);
  if (options.shadow_file.empty()) return policies;
  absl::StatusOr<std::shared_ptr<const Policy>> shadow = ReadOne(options.shadow_file, *self);
  if (!shadow.ok()) return shadow.status();
  policies.shadow = *std::move(shadow);
  return policies;
}

std::shared_ptr<const Policy> PolicyStore::current() const {
  MutexLock lock(mutex_);
  return policies_.current;
}

std::shared_ptr<const Policy> PolicyStore::shadow() const {
  MutexLock lock(mutex_);
  return policies_.shadow;
}

absl::StatusOr<SelfAddresses> PolicyStore::AllSelf(const Options& options) {
  SelfAddresses self = options.self;
  if (absl::Status status = self.AddLocalOfInterfaces(); !status.ok()) return status;
  return self;
}

absl::Status PolicyStore::SetSelf(SelfAddresses self) {
  options_.self = std::move(self);
  return RefreshSelf();
}

absl::Status PolicyStore::RefreshSelf() {
  const absl::StatusOr<SelfAddresses> self = AllSelf(options_);
  if (!self.ok()) return self.status();
  const std::shared_ptr<const Policy> shadow_now = shadow();
  Replace(
      {.current = current()->WithSelf(*self), .shadow = shadow_now == nullptr ? nullptr : shadow_now->WithSelf(*self)});
  return absl::OkStatus();
}

absl::Status PolicyStore::Reload() {
  absl::StatusOr<Policies> policies = Read(options_);
  if (!policies.ok()) return policies.status();
  Replace(*std::move(policies));
  return absl::OkStatus();
}

void PolicyStore::Replace(Policies policies) {
  MutexLock lock(mutex_);
  policies_ = std::move(policies);
  generation_.fetch_add(1, std::memory_order_release);
}

}  // namespace transportd
