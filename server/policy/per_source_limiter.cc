#include "server/policy/per_source_limiter.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "absl/strings/str_format.h"
#include "server/policy/quota.h"
#include "transports/api/error.h"
#include "transports/api/time.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {

struct PerSourceLimiter::State {
  struct Penalty {
    TimePoint until = {};
    bool in_force = false;
    TimePoint recorded_at = {};
    uint64_t recorded_count = 0;  // Failures that a record tells of.
    uint64_t unrecorded_count = 0;
  };

  State(const PerSourceOptions& some_options, Clock& some_clock) : options(some_options), clock(some_clock) {}

  void ForgetPast(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    while (!by_end.empty() && by_end.begin()->first <= now) Forget(by_end.begin());
  }
  void Forget(std::set<std::pair<TimePoint, IpAddress>>::iterator which) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    penalties.erase(which->second);
    by_end.erase(which);
  }

  const PerSourceOptions options;
  Clock& clock;
  Mutex mutex;
  // Maps, not hashes: an IPv6 network can choose addresses that collide.
  std::map<IpAddress, size_t> open ABSL_GUARDED_BY(mutex);
  size_t open_count ABSL_GUARDED_BY(mutex) = 0;
  std::map<IpAddress, Penalty> penalties ABSL_GUARDED_BY(mutex);
  std::set<std::pair<TimePoint, IpAddress>> by_end ABSL_GUARDED_BY(mutex);  // The same ones.
  uint64_t rejected_count ABSL_GUARDED_BY(mutex) = 0;
};

PerSourceLimiter::Lease& PerSourceLimiter::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  state_ = std::move(other.state_);
  source_ = other.source_;
  return *this;
}

void PerSourceLimiter::Lease::Release() {
  if (state_ == nullptr) return;
  {
    MutexLock lock(state_->mutex);
    const auto found = state_->open.find(source_);
    CHECK(found != state_->open.end());
    if (--found->second == 0) state_->open.erase(found);
    --state_->open_count;
  }
  state_.reset();
}

PerSourceLimiter::PerSourceLimiter(const PerSourceOptions& options, Clock& clock)
    : state_(std::make_shared<State>(options, clock)) {}

PerSourceLimiter::~PerSourceLimiter() = default;

IpAddress PerSourceLimiter::SourceOf(const IpAddress& address) {
  IpAddress source = address;
  if (!source.is_v4) source.low = 0;
  return source;
}

absl::StatusOr<PerSourceLimiter::Lease> PerSourceLimiter::Admit(const SocketAddress& peer, Refusal* refusal) {
  if (peer.family == AddressFamily::kUnix) return Lease();
  const std::optional<IpAddress> address = IpAddress::From(peer);
  if (!address) return InvalidArgument("INVALID_HOST", "peer", "must be an address in numbers");
  const IpAddress source = SourceOf(*address);
  const auto refuse = [&](Refusal why, std::string_view message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex) {
    ++state_->rejected_count;
    if (refusal != nullptr) *refusal = why;
    return QuotaExceeded(message);
  };
  const PerSourceOptions& options = state_->options;
  MutexLock lock(state_->mutex);
  const TimePoint now = state_->clock.Now();
  state_->ForgetPast(now);
  if (const auto found = state_->penalties.find(source);
      options.refuse_after_failures && found != state_->penalties.end() && found->second.in_force) {
    const std::chrono::duration<double> left = found->second.until - now;
    return refuse(Refusal::kPunished,
                  absl::StrFormat("too many failed authentications from this address; try again in %.0f s",
                                  std::max(1.0, left.count() + 0.5)));
  }
  const auto found = state_->open.find(source);
  if (options.max_open_count == 0 || (found != state_->open.end() && found->second >= options.max_open_count)) {
    return refuse(Refusal::kSourceFull,
                  StrCat("unauthenticated connections of one address: at most ", options.max_open_count));
  }
  if (state_->open_count >= options.max_total_open_count) {
    return refuse(Refusal::kFull, StrCat("unauthenticated connections: at most ", options.max_total_open_count));
  }
  ++state_->open[source];
  ++state_->open_count;
  return Lease(state_, source);
}

PerSourceLimiter::Failure PerSourceLimiter::AuthFailed(const SocketAddress& peer) {
  const bool is_unix = peer.family == AddressFamily::kUnix;
  // Of Unix sockets: a multicast network, which is nobody's source.
  const std::optional<IpAddress> address =
      is_unix ? IpAddress{.is_v4 = false, .high = ~uint64_t{0}, .low = 0} : IpAddress::From(peer);
  if (!address) return {};
  const IpAddress source = SourceOf(*address);
  const PerSourceOptions& options = state_->options;
  if (options.max_penalty_count == 0) return {};
  MutexLock lock(state_->mutex);
  const TimePoint now = state_->clock.Now();
  state_->ForgetPast(now);
  State::Penalty penalty;
  if (const auto found = state_->penalties.find(source); found != state_->penalties.end()) {
    penalty = found->second;
    state_->Forget(state_->by_end.find({penalty.until, source}));
  } else {
    if (state_->penalties.size() >= options.max_penalty_count) state_->Forget(state_->by_end.begin());
    penalty.until = now;
  }
  Failure failure;
  const bool is_many = penalty.unrecorded_count >= penalty.recorded_count;
  if (!penalty.in_force || is_many || now - penalty.recorded_at >= options.min_penalty) {
    penalty.recorded_count += penalty.unrecorded_count + 1;
    failure.unrecorded_count = std::exchange(penalty.unrecorded_count, 0);
    penalty.recorded_at = now;
  } else {
    ++penalty.unrecorded_count;
  }
  penalty.until = std::min(penalty.until + options.failure_penalty, now + options.max_penalty);
  // Half a failure less: between those that make it up some time has passed.
  if (!penalty.in_force && penalty.until - now >= options.min_penalty - options.failure_penalty / 2) {
    penalty.in_force = true;
    penalty.until = std::max(penalty.until, now + options.min_penalty);
  }
  state_->penalties[source] = penalty;
  state_->by_end.emplace(penalty.until, source);
  failure.is_refused = options.refuse_after_failures && penalty.in_force && !is_unix;
  return failure;
}

PerSourceLimiter::Counts PerSourceLimiter::Usage() const {
  MutexLock lock(state_->mutex);
  return {.open_count = state_->open_count,
          .source_count = state_->open.size(),
          .penalty_count = state_->penalties.size(),
          .rejected_count = state_->rejected_count};
}

}  // namespace transportd
