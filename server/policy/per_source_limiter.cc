#include "server/policy/per_source_limiter.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "absl/strings/str_format.h"
#include "transports/api/error.h"
#include "transports/api/time.h"
#include "transports/base/check.h"
#include "transports/base/sockaddr.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

absl::Status Exceeded(std::string_view message) {
  return MakeError(absl::StatusCode::kResourceExhausted, "QUOTA_EXCEEDED", message);
}

}  // namespace

struct PerSourceLimiter::State {
  struct Penalty {
    TimePoint until = {};
    bool in_force = false;
    bool is_told = false;  // Somebody was refused for it.
    TimePoint recorded_at = {};
    uint64_t unrecorded_count = 0;
  };
  struct Open {
    size_t count = 0;
    bool is_told = false;  // One more was refused since the last was admitted.
  };

  State(const PerSourceOptions& some_options, Clock& some_clock) : options(some_options), clock(some_clock) {}

  void ForgetPast(TimePoint now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    while (!by_end.empty() && by_end.begin()->first <= now) Forget(by_end.begin());
  }
  void Forget(std::set<std::pair<TimePoint, Source>>::iterator which) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    penalties.erase(which->second);
    by_end.erase(which);
  }

  const PerSourceOptions options;
  Clock& clock;
  Mutex mutex;
  // Maps, not hashes: an IPv6 network can choose addresses that collide.
  std::map<Source, Open> open ABSL_GUARDED_BY(mutex);
  bool total_is_told ABSL_GUARDED_BY(mutex) = false;
  size_t open_count ABSL_GUARDED_BY(mutex) = 0;
  std::map<Source, Penalty> penalties ABSL_GUARDED_BY(mutex);
  std::set<std::pair<TimePoint, Source>> by_end ABSL_GUARDED_BY(mutex);  // The same ones.
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
    if (--found->second.count == 0) state_->open.erase(found);
    --state_->open_count;
  }
  state_.reset();
}

PerSourceLimiter::PerSourceLimiter(const PerSourceOptions& options, Clock& clock)
    : state_(std::make_shared<State>(options, clock)) {}

PerSourceLimiter::~PerSourceLimiter() = default;

absl::StatusOr<std::optional<PerSourceLimiter::Source>> PerSourceLimiter::SourceOf(const SocketAddress& peer) {
  if (peer.family == AddressFamily::kUnix) return std::nullopt;
  const absl::StatusOr<RawAddress> raw = ToRawAddress(peer);
  if (!raw.ok()) return raw.status();
  Source source;
  if (peer.family == AddressFamily::kInet) {
    source.bits = reinterpret_cast<const sockaddr_in*>(raw->get())->sin_addr.s_addr;
    return source;
  }
  const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(raw->get())->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    source.bits = address.s6_addr32[3];
    return source;
  }
  source.is_v6 = true;
  std::memcpy(&source.bits, address.s6_addr, sizeof(source.bits));
  return source;
}

absl::StatusOr<PerSourceLimiter::Lease> PerSourceLimiter::Admit(const SocketAddress& peer, bool* is_news) {
  const auto tell = [is_news](bool& is_told) {
    if (is_news != nullptr) *is_news = !is_told;
    is_told = true;
  };
  if (is_news != nullptr) *is_news = false;
  const absl::StatusOr<std::optional<Source>> source = SourceOf(peer);
  if (!source.ok()) return source.status();
  if (!source->has_value()) return Lease();
  const PerSourceOptions& options = state_->options;
  {
    MutexLock lock(state_->mutex);
    const TimePoint now = state_->clock.Now();
    state_->ForgetPast(now);
    if (const auto found = state_->penalties.find(**source);
        options.refuse_after_failures && found != state_->penalties.end() && found->second.in_force) {
      tell(found->second.is_told);
      const std::chrono::duration<double> left = found->second.until - now;
      ++state_->rejected_count;
      return Exceeded(absl::StrFormat("too many failed authentications from this address; try again in %.0f s",
                                      std::max(1.0, left.count() + 0.5)));
    }
    const auto found = state_->open.find(**source);
    if (found != state_->open.end() && found->second.count >= options.max_open_count) {
      tell(found->second.is_told);
      ++state_->rejected_count;
      return Exceeded(StrCat("unauthenticated connections of one address: at most ", options.max_open_count));
    }
    if (options.max_open_count == 0 || state_->open_count >= options.max_total_open_count) {
      tell(state_->total_is_told);
      ++state_->rejected_count;
      return Exceeded(StrCat("unauthenticated connections: at most ", options.max_total_open_count));
    }
    State::Open& open = state_->open[**source];
    ++open.count;
    open.is_told = false;
    ++state_->open_count;
    state_->total_is_told = false;
  }
  return Lease(state_, **source);
}

PerSourceLimiter::Failure PerSourceLimiter::AuthFailed(const SocketAddress& peer) {
  // Of Unix sockets: a multicast network, which is nobody's source.
  constexpr Source kUnixSource = {.is_v6 = true, .bits = ~uint64_t{0}};
  const absl::StatusOr<std::optional<Source>> known = SourceOf(peer);
  if (!known.ok()) return {};
  const std::optional<Source> source = known->value_or(kUnixSource);
  const PerSourceOptions& options = state_->options;
  if (options.max_penalty_count == 0) return {};
  MutexLock lock(state_->mutex);
  const TimePoint now = state_->clock.Now();
  state_->ForgetPast(now);
  State::Penalty penalty;
  if (const auto found = state_->penalties.find(*source); found != state_->penalties.end()) {
    penalty = found->second;
    state_->Forget(state_->by_end.find({penalty.until, *source}));
  } else {
    if (state_->penalties.size() >= options.max_penalty_count) state_->Forget(state_->by_end.begin());
    penalty.until = now;
  }
  Failure failure;
  if (!penalty.in_force || now - penalty.recorded_at >= options.min_penalty) {
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
  state_->penalties[*source] = penalty;
  state_->by_end.emplace(penalty.until, *source);
  failure.is_refused = options.refuse_after_failures && penalty.in_force && known->has_value();
  return failure;
}

bool PerSourceLimiter::IsFull() const {
  MutexLock lock(state_->mutex);
  return state_->open_count >= state_->options.max_total_open_count;
}

PerSourceLimiter::Counts PerSourceLimiter::Usage() const {
  MutexLock lock(state_->mutex);
  return {.open_count = state_->open_count,
          .source_count = state_->open.size(),
          .penalty_count = state_->penalties.size(),
          .rejected_count = state_->rejected_count};
}

}  // namespace transportd
