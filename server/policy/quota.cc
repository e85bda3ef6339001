#include "server/policy/quota.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {

absl::Status QuotaExceeded(std::string_view message) {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUOTA_EXCEEDED", message);
}

namespace {

double BurstOf(const RateLimit& limit) { return limit.burst > 0 ? limit.burst : std::ceil(limit.per_second); }

// Sums of fractions may miss a whole one by as much.
bool HasToken(double tokens) { return tokens >= 1 - 1e-9; }

bool IsBounded(const RateLimit& limit) { return std::isfinite(limit.per_second); }

// False, and nothing is taken, when it would be above the bound.
bool TryAdd(std::atomic<uint64_t>& counter, uint64_t amount, uint64_t bound) {
  uint64_t held = counter.load(std::memory_order_relaxed);
  do {
    if (amount > 0 && (held >= bound || bound - held < amount)) return false;
  } while (!counter.compare_exchange_weak(held, held + amount, std::memory_order_relaxed));
  return true;
}

void Subtract(std::atomic<uint64_t>& counter, uint64_t amount) {
  const uint64_t before = counter.fetch_sub(amount, std::memory_order_relaxed);
  CHECK(before >= amount);
}

// `1.234`, rounded up: who comes then is not too early.
std::string Seconds(double seconds) { return absl::StrFormat("%.3f", std::ceil(seconds * 1000) / 1000); }

std::chrono::nanoseconds DurationOf(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

template <typename T>
void Raise(std::optional<T>& bound, T other) {
  if (!bound.has_value() || *bound < other) bound = other;
}

// Each of its two numbers: no further role takes something away.
void Raise(std::optional<RateLimit>& bound, const v1::Rate& rate) {
  const RateLimit other = {.per_second = rate.per_second(), .burst = rate.burst()};
  RateLimit& limit = bound.has_value() ? *bound : bound.emplace(other);
  limit.burst = static_cast<uint32_t>(std::max(BurstOf(limit), BurstOf(other)));
  limit.per_second = std::max(limit.per_second, other.per_second);
}

}  // namespace

std::string_view NameOf(QuotaKind kind) {
  switch (kind) {
    case QuotaKind::kSessions:
      return "sessions";
    case QuotaKind::kTransports:
      return "transports";
    case QuotaKind::kListeners:
      return "listeners";
    case QuotaKind::kProcesses:
      return "processes";
    case QuotaKind::kBufferedBytes:
      return "buffered_bytes";
  }
  return "";
}

std::string_view NameOf(RateKind kind) {
  switch (kind) {
    case RateKind::kConnects:
      return "connects";
    case RateKind::kSpawns:
      return "spawns";
    case RateKind::kResolutions:
      return "resolutions";
  }
  return "";
}

Quota DefaultPrincipalQuota() {
  Quota quota;
  quota.held = {8, 64, 8, 4, 16 * 1024 * 1024};
  quota.rates = {RateLimit{20, 50}, RateLimit{2, 8}, RateLimit{10, 20}};
  return quota;
}

Quota MergeQuotas(std::span<const v1::Quota* const> roles, const Quota& defaults) {
  std::array<std::optional<uint64_t>, kQuotaKindCount> held;
  std::array<std::optional<RateLimit>, kRateKindCount> rates;
  std::optional<std::chrono::nanoseconds> session_age;
  std::optional<std::chrono::nanoseconds> session_idle;
  const auto raise = [&](QuotaKind kind, bool set, uint64_t bound) {
    if (set) Raise(held[static_cast<size_t>(kind)], bound);
  };
  const auto raise_rate = [&](RateKind kind, bool set, const v1::Rate& rate) {
    if (set) Raise(rates[static_cast<size_t>(kind)], rate);
  };
  for (const v1::Quota* role : roles) {
    raise(QuotaKind::kSessions, role->has_sessions(), role->sessions());
    raise(QuotaKind::kTransports, role->has_transports(), role->transports());
    raise(QuotaKind::kListeners, role->has_listeners(), role->listeners());
    raise(QuotaKind::kProcesses, role->has_processes(), role->processes());
    raise(QuotaKind::kBufferedBytes, role->has_buffered_bytes(), role->buffered_bytes());
    raise_rate(RateKind::kConnects, role->has_connects(), role->connects());
    raise_rate(RateKind::kSpawns, role->has_spawns(), role->spawns());
    raise_rate(RateKind::kResolutions, role->has_resolutions(), role->resolutions());
    if (role->has_session_age()) Raise(session_age, DurationOf(role->session_age()));
    if (role->has_session_idle()) Raise(session_idle, DurationOf(role->session_idle()));
  }
  Quota merged = defaults;
  for (size_t i = 0; i < kQuotaKindCount; ++i) merged.held[i] = held[i].value_or(defaults.held[i]);
  for (size_t i = 0; i < kRateKindCount; ++i) merged.rates[i] = rates[i].value_or(defaults.rates[i]);
  if (session_age.has_value()) merged.session_age = session_age;
  if (session_idle.has_value()) merged.session_idle = session_idle;
  return merged;
}

// --- What is counted.

struct QuotaTable::Totals {
  std::array<std::atomic<uint64_t>, kQuotaKindCount> bounds = {};
  std::array<std::atomic<uint64_t>, kQuotaKindCount> held = {};
  std::array<std::atomic<uint64_t>, kQuotaKindCount> rejected_count = {};
  std::array<std::atomic<uint64_t>, kRateKindCount> rate_rejected_count = {};
};

struct QuotaTable::Account {
  explicit Account(std::shared_ptr<Totals> all) : totals(std::move(all)) {}

  absl::Status Add(QuotaKind kind, uint64_t amount, uint64_t bound) {
    const auto i = static_cast<size_t>(kind);
    const char* whose = "";
    if (!TryAdd(held[i], amount, bound)) {
      whose = "of this principal";
    } else if (const uint64_t all = totals->bounds[i].load(std::memory_order_relaxed);
               !TryAdd(totals->held[i], amount, all)) {
      Subtract(held[i], amount);
      whose = "of the service";
      bound = all;
    } else {
      return absl::OkStatus();
    }
    totals->rejected_count[i].fetch_add(1, std::memory_order_relaxed);
    return QuotaExceeded(StrCat("quota `", NameOf(kind), "` ", whose, ": at most ", bound));
  }

  void Change(QuotaKind kind, uint64_t from, uint64_t to) {
    const auto i = static_cast<size_t>(kind);
    // Modulo 2^64, as unsigned numbers are.
    held[i].fetch_add(to - from, std::memory_order_relaxed);
    totals->held[i].fetch_add(to - from, std::memory_order_relaxed);
  }

  void Remove(QuotaKind kind, uint64_t amount) {
    const auto i = static_cast<size_t>(kind);
    Subtract(held[i], amount);
    Subtract(totals->held[i], amount);
  }

  const std::shared_ptr<Totals> totals;  // Shared with the table and the other accounts.
  std::array<std::atomic<uint64_t>, kQuotaKindCount> held = {};
  std::array<Bucket, kRateKindCount> buckets;  // Guarded by the table's mutex.
};

QuotaTable::Lease::Lease(Lease&& other) noexcept
    : account_(std::move(other.account_)), kind_(other.kind_), amount_(std::exchange(other.amount_, 0)) {}

QuotaTable::Lease& QuotaTable::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  account_ = std::move(other.account_);
  kind_ = other.kind_;
  amount_ = std::exchange(other.amount_, 0);
  return *this;
}

void QuotaTable::Lease::Set(uint64_t amount) {
  CHECK(account_ != nullptr);
  account_->Change(kind_, std::exchange(amount_, amount), amount);
}

uint64_t QuotaTable::Lease::PrincipalAmount() const {
  CHECK(account_ != nullptr);
  return account_->held[static_cast<size_t>(kind_)].load(std::memory_order_relaxed);
}

void QuotaTable::Lease::Release() {
  if (account_ == nullptr) return;
  account_->Remove(kind_, std::exchange(amount_, 0));
  account_.reset();
}

// --- Rates.

void QuotaTable::Bucket::Refill(const RateLimit& new_limit, TimePoint now) {
  const double burst = BurstOf(new_limit);
  if (used) {
    const double seconds = std::max(0.0, std::chrono::duration<double>(now - at).count());
    tokens = std::min(burst, tokens + seconds * limit.per_second);
  } else {
    tokens = burst;
  }
  used = true;
  limit = new_limit;
  at = now;
}

bool QuotaTable::Bucket::IsFull(TimePoint now) const {
  if (!used) return true;
  const double seconds = std::max(0.0, std::chrono::duration<double>(now - at).count());
  return tokens + seconds * limit.per_second >= BurstOf(limit);
}

// --- The table.

QuotaTable::QuotaTable(const Quota& service, Clock& clock, size_t max_principal_count)
    : clock_(clock), max_principal_count_(max_principal_count), totals_(std::make_shared<Totals>()) {
  SetService(service);
}

QuotaTable::~QuotaTable() = default;

void QuotaTable::SetService(const Quota& service) {
  for (size_t i = 0; i < kQuotaKindCount; ++i) {
    totals_->bounds[i].store(service.held[i], std::memory_order_relaxed);
  }
  MutexLock lock(mutex_);
  service_rates_ = service.rates;
}

std::shared_ptr<QuotaTable::Account> QuotaTable::Find(std::string_view principal) {
  if (const auto found = accounts_.find(principal); found != accounts_.end()) return found->second;
  const TimePoint now = clock_.Now();
  if (accounts_.size() >= sweep_at_count_ || accounts_.size() >= max_principal_count_) Sweep(now);
  if (accounts_.size() >= max_principal_count_) return nullptr;
  return accounts_.try_emplace(std::string(principal), std::make_shared<Account>(totals_)).first->second;
}

void QuotaTable::Sweep(TimePoint now) {
  constexpr std::chrono::milliseconds kAtLeast(100);  // A full table is not walked for each who is turned away.
  if (accounts_.size() < sweep_at_count_ && now - swept_at_ < kAtLeast) return;
  swept_at_ = now;
  std::erase_if(accounts_, [&](const auto& entry) {
    const Account& account = *entry.second;
    // Without a lease nobody else can get one meanwhile: that needs the mutex.
    return entry.second.use_count() == 1 &&
           std::all_of(account.buckets.begin(), account.buckets.end(), [&](const Bucket& b) { return b.IsFull(now); });
  });
  sweep_at_count_ = std::max<size_t>(64, accounts_.size() * 2);
}

absl::Status QuotaTable::TooManyPrincipals() const {
  return QuotaExceeded(StrCat("quota `principals` of the service: at most ", max_principal_count_));
}

absl::StatusOr<QuotaTable::Lease> QuotaTable::Take(std::string_view principal, QuotaKind kind, const Quota& quota,
                                                   uint64_t amount) {
  std::shared_ptr<Account> account;
  {
    MutexLock lock(mutex_);
    account = Find(principal);
  }
  if (account == nullptr) return TooManyPrincipals();
  if (absl::Status status = account->Add(kind, amount, quota[kind]); !status.ok()) return status;
  return Lease(std::move(account), kind, amount);
}

absl::Status QuotaTable::Spend(std::string_view principal, RateKind kind, const Quota& quota) {
  const RateLimit& limit = quota[kind];
  const auto i = static_cast<size_t>(kind);
  const auto refuse = [&](const RateLimit& exceeded, std::string_view whose, double tokens) {
    totals_->rate_rejected_count[i].fetch_add(1, std::memory_order_relaxed);
    return QuotaExceeded(absl::StrFormat("quota `%s` %s: %g a second, %g at once; try again in %s s",
                                         ToAbsl(NameOf(kind)), ToAbsl(whose), exceeded.per_second, BurstOf(exceeded),
                                         Seconds((1 - tokens) / exceeded.per_second)));
  };
  MutexLock lock(mutex_);
  const RateLimit& service_limit = service_rates_[i];
  if (!IsBounded(limit) && !IsBounded(service_limit)) return absl::OkStatus();
  const TimePoint now = clock_.Now();
  Bucket* bucket = nullptr;
  if (IsBounded(limit)) {
    const std::shared_ptr<Account> account = Find(principal);
    if (account == nullptr) return TooManyPrincipals();
    bucket = &account->buckets[i];
    bucket->Refill(limit, now);
    if (!HasToken(bucket->tokens)) return refuse(limit, "of this principal", bucket->tokens);
  }
  if (IsBounded(service_limit)) {
    Bucket& all = service_buckets_[i];
    all.Refill(service_limit, now);
    if (!HasToken(all.tokens)) return refuse(service_limit, "of the service", all.tokens);
    --all.tokens;
  }
  if (bucket != nullptr) --bucket->tokens;
  return absl::OkStatus();
}

QuotaUsage QuotaTable::Usage() const {
  QuotaUsage usage;
  const auto copy = [](const auto& from, auto& to) {
    for (size_t i = 0; i < to.size(); ++i) to[i] = from[i].load(std::memory_order_relaxed);
  };
  copy(totals_->held, usage.held);
  copy(totals_->rejected_count, usage.rejected_count);
  copy(totals_->rate_rejected_count, usage.rate_rejected_count);
  {
    MutexLock lock(mutex_);
    usage.remembered_count = accounts_.size();
    for (const auto& [principal, account] : accounts_) {
      QuotaUsage::Principal row;
      copy(account->held, row.held);
      if (std::all_of(row.held.begin(), row.held.end(), [](uint64_t held) { return held == 0; })) continue;
      row.principal = principal;
      usage.principals.push_back(std::move(row));
    }
  }
  std::sort(usage.principals.begin(), usage.principals.end(),
            [](const auto& a, const auto& b) { return a.principal < b.principal; });
  return usage;
}

}  // namespace transportd
