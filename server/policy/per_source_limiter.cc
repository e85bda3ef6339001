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
  std::map<Source, size_t> open ABSL_GUARDED_BY(mutex);
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
    if (--found->second == 0) state_->open.erase(found);
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

absl::StatusOr<PerSourceLimiter::Lease> PerSourceLimiter::Admit(const SocketAddress& peer) {
  const absl::StatusOr<std::optional<Source>> source = SourceOf(peer);
  if (!source.ok()) return source.status();
  if (!source->has_value()) return Lease();
  const PerSourceOptions& options = state_->options;
  {
    MutexLock lock(state_->mutex);
    const TimePoint now = state_->clock.Now();
    state_->ForgetPast(now);
    if (const auto found = state_->penalties.find(**source);
        found != state_->penalties.end() && found->second.in_force) {
      const std::chrono::duration<double> left = found->second.until - now;
      ++state_->rejected_count;
      return Exceeded(absl::StrFormat("too many failed authentications from this address; try again in %.0f s",
                                      std::max(1.0, left.count() + 0.5)));
    }
    const auto found = state_->open.find(**source);
    if (found != state_->open.end() && found->second >= options.max_open_count) {
      ++state_->rejected_count;
      return Exceeded(StrCat("unauthenticated connections of one address: at most ", options.max_open_count));
    }
    if (options.max_open_count == 0 || state_->open_count >= options.max_total_open_count) {
      ++state_->rejected_count;
      return Exceeded(StrCat("unauthenticated connections: at most ", options.max_total_open_count));
    }
    ++state_->open[**source];
    ++state_->open_count;
  }
  return Lease(state_, **source);
}

void PerSourceLimiter::AuthFailed(const SocketAddress& peer) {
  const absl::StatusOr<std::optional<Source>> source = SourceOf(peer);
  if (!source.ok() || !source->has_value()) return;
  const PerSourceOptions& options = state_->options;
  if (options.max_penalty_count == 0) return;
  MutexLock lock(state_->mutex);
  const TimePoint now = state_->clock.Now();
  state_->ForgetPast(now);
  State::Penalty penalty;
  if (const auto found = state_->penalties.find(**source); found != state_->penalties.end()) {
    penalty = found->second;
    state_->Forget(state_->by_end.find({penalty.until, **source}));
  } else {
    if (state_->penalties.size() >= options.max_penalty_count) state_->Forget(state_->by_end.begin());
    penalty.until = now;
  }
  penalty.until = std::min(penalty.until + options.failure_penalty, now + options.max_penalty);
  penalty.in_force = penalty.in_force || penalty.until - now >= options.min_penalty;
  state_->penalties[**source] = penalty;
  state_->by_end.emplace(penalty.until, **source);
}

PerSourceLimiter::Counts PerSourceLimiter::Usage() const {
  MutexLock lock(state_->mutex);
  return {.open_count = state_->open_count,
          .source_count = state_->open.size(),
          .penalty_count = state_->penalties.size(),
          .rejected_count = state_->rejected_count};
}

}  // namespace transportd
