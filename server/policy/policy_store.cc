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

// Into `place`, unless there is an error.
PolicyStore::Outcome ReadAgain(const std::string& file, const SelfAddresses& self,
                               std::shared_ptr<const Policy>& place) {
  absl::StatusOr<std::shared_ptr<const Policy>> policy = ReadOne(file, self);
  if (!policy.ok()) return {.status = policy.status()};
  const bool is_another = place == nullptr || place->sha256() != (*policy)->sha256();
  place = *std::move(policy);
  return {.status = absl::OkStatus(), .is_another = is_another};
}

}  // namespace

absl::StatusOr<std::unique_ptr<PolicyStore>> PolicyStore::Create(Options options) {
  std::unique_ptr<PolicyStore> store(new PolicyStore(std::move(options)));
  const Reloaded loaded = store->Reload();
  if (!loaded.current.status.ok()) return loaded.current.status;
  if (!loaded.shadow.status.ok()) return loaded.shadow.status;
  return store;
}

PolicyStore::PolicyStore(Options options) : options_(std::move(options)) {}

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

PolicyStore::Reloaded PolicyStore::Reload() {
  const absl::StatusOr<SelfAddresses> self = AllSelf(options_);
  if (!self.ok()) return {.current = {.status = self.status()}, .shadow = {}};
  Policies policies{.current = current(), .shadow = shadow()};
  Reloaded reloaded{.current = ReadAgain(options_.file, *self, policies.current), .shadow = {}};
  if (!options_.shadow_file.empty()) reloaded.shadow = ReadAgain(options_.shadow_file, *self, policies.shadow);
  Replace(std::move(policies));
  return reloaded;
}

void PolicyStore::Replace(Policies policies) {
  MutexLock lock(mutex_);
  policies_ = std::move(policies);
  generation_.fetch_add(1, std::memory_order_release);
}

}  // namespace transportd
