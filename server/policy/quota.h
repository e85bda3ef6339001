// How much each principal, and all together, may have.
#ifndef TRANSPORTD_SERVER_POLICY_QUOTA_H_
#define TRANSPORTD_SERVER_POLICY_QUOTA_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transportd/v1/policy.pb.h"
#include "transports/api/time.h"
#include "transports/base/clock.h"
#include "transports/base/mutex.h"

namespace transportd {

// What is held, and given back.
enum class QuotaKind { kSessions, kTransports, kListeners, kProcesses, kBufferedBytes };
inline constexpr size_t kQuotaKindCount = 5;

// What is spent.
enum class RateKind { kConnects, kSpawns, kResolutions };
inline constexpr size_t kRateKindCount = 3;

// RESOURCE_EXHAUSTED / QUOTA_EXCEEDED.
absl::Status QuotaExceeded(std::string_view message);

// As the fields of v1.Quota.
std::string_view NameOf(QuotaKind kind);
std::string_view NameOf(RateKind kind);

inline constexpr uint64_t kNoBound = std::numeric_limits<uint64_t>::max();

// A token bucket. Threading: a value.
struct RateLimit {
  double per_second = std::numeric_limits<double>::infinity();  // Infinite: no bound.
  uint32_t burst = 0;                                           // 0: per_second, rounded up.

  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// All bounds of one principal, or of the service. Threading: a value.
struct Quota {
  std::array<uint64_t, kQuotaKindCount> held = {kNoBound, kNoBound, kNoBound, kNoBound, kNoBound};  // By QuotaKind.
  std::array<RateLimit, kRateKindCount> rates = {};                                                 // By RateKind.
  std::optional<std::chrono::nanoseconds> session_age = {};                                         // Unset: no bound.
  std::optional<std::chrono::nanoseconds> session_idle = {};                                        // Unset: no bound.

  uint64_t& operator[](QuotaKind kind) { return held[static_cast<size_t>(kind)]; }
  uint64_t operator[](QuotaKind kind) const { return held[static_cast<size_t>(kind)]; }
  RateLimit& operator[](RateKind kind) { return rates[static_cast<size_t>(kind)]; }
  const RateLimit& operator[](RateKind kind) const { return rates[static_cast<size_t>(kind)]; }

  friend bool operator==(const Quota&, const Quota&) = default;
};

// What a principal has of whom the policy says nothing: 8 sessions, 64 transports, 8 listeners, 4 processes, 16 MiB; 20
// connects a second (50 at once), 2 spawns (8), 10 resolutions (20).
Quota DefaultPrincipalQuota();

// Of a principal's roles: each bound, and each number of a rate, is the largest that a role sets; that none sets is the
// one of `defaults`.
Quota MergeQuotas(std::span<const v1::Quota* const> roles, const Quota& defaults);

// For metrics. Threading: a value.
struct QuotaUsage {
  struct Principal {
    std::string principal;
    std::array<uint64_t, kQuotaKindCount> held = {};
  };
  std::array<uint64_t, kQuotaKindCount> held = {};            // By all.
  std::array<uint64_t, kQuotaKindCount> rejected_count = {};  // Since the start.
  std::array<uint64_t, kRateKindCount> rate_rejected_count = {};
  std::vector<Principal> principals;  // Those who hold something, by name.
  size_t remembered_count = 0;        // Principals that are remembered, with those who hold nothing.
};

// Who holds how much. A principal that holds nothing and whose buckets are full again is forgotten.
//
// Every refusal is RESOURCE_EXHAUSTED / QUOTA_EXCEEDED: its message names the quota, its bound and, of a rate, when to
// come back. Threading: any thread.
class QuotaTable final {
 private:
  struct Account;
  struct Totals;

 public:
  // What somebody holds; the destructor gives it back. May outlive the table. Threading: one thread at a time.
  class Lease final {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }

    uint64_t amount() const { return amount_; }
    // Holds so much from now on, be it above the bound: for what is measured and not asked for. No lock, no allocation.
    // CHECK-fails on an empty lease.
    void Set(uint64_t amount);
    // What the principal holds of this kind, by all its leases. CHECK-fails on an empty lease.
    uint64_t PrincipalAmount() const;
    // Gives back all, and is empty.
    void Release();

   private:
    friend class QuotaTable;
    Lease(std::shared_ptr<Account> account, QuotaKind kind, uint64_t amount)
        : account_(std::move(account)), kind_(kind), amount_(amount) {}

    std::shared_ptr<Account> account_;  // Shared with the table and other leases.
    QuotaKind kind_ = QuotaKind::kSessions;
    uint64_t amount_ = 0;
  };

  // `service` bounds all principals together; of it `held` and `rates` count. `max_principal_count`: how many are
  // remembered.
  explicit QuotaTable(const Quota& service, Clock& clock = SystemClock(), size_t max_principal_count = 65536);
  ~QuotaTable();

  // Takes `amount`, 0 included, of what `quota` bounds for the principal. Those who came under a larger bound keep what
  // they have.
  absl::StatusOr<Lease> Take(std::string_view principal, QuotaKind kind, const Quota& quota, uint64_t amount = 1);

  // One attempt.
  absl::Status Spend(std::string_view principal, RateKind kind, const Quota& quota);

  // From now on these bound all together. Nobody loses what he has.
  void SetService(const Quota& service);

  QuotaUsage Usage() const;

 private:
  // Tokens of one rate. Threading: as an int.
  struct Bucket {
    RateLimit limit = {};
    double tokens = 0;
    TimePoint at = {};  // When there were so many.
    bool used = false;  // Else it is full.

    // At `now`, under that limit, which may be another than before.
    void Refill(const RateLimit& new_limit, TimePoint now);
    bool IsFull(TimePoint now) const;
  };

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  // The principal's, remembered from now on; null when too many are.
  std::shared_ptr<Account> Find(std::string_view principal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets who is idle.
  void Sweep(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TooManyPrincipals() const;

  Clock& clock_;
  const size_t max_principal_count_;
  const std::shared_ptr<Totals> totals_;  // Shared with every account, so that a lease may outlive this.

  mutable Mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Account>, Hash, std::equal_to<>> accounts_ ABSL_GUARDED_BY(mutex_);
  std::array<RateLimit, kRateKindCount> service_rates_ ABSL_GUARDED_BY(mutex_);
  size_t sweep_at_count_ ABSL_GUARDED_BY(mutex_) = 64;  // So that sweeping costs each newcomer a constant.
  TimePoint swept_at_ ABSL_GUARDED_BY(mutex_) = {};
  std::array<Bucket, kRateKindCount> service_buckets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_QUOTA_H_
