#include "server/listen/unauthenticated_connections.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/policy/peer_name.h"
#include "transports/api/error.h"
#include "transports/base/logging.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr std::chrono::seconds kSweepEvery(1);
// When somebody is refused; so that who is refused often does not have all looked at each time.
constexpr std::chrono::milliseconds kSweepAtMostEvery(20);

// How long an answer that says why may be under way.
constexpr std::chrono::milliseconds kForAnAnswer(500);

}  // namespace

std::optional<UnauthenticatedConnections::Key> UnauthenticatedConnections::KeyOf(const SocketAddress& peer) {
  const std::optional<IpAddress> ip = IpAddress::From(peer);
  if (!ip) return std::nullopt;
  return Key(*ip, peer.port);
}

bool UnauthenticatedConnections::Admit(int fd, const SocketAddress& peer) {
  using Refusal = PerSourceLimiter::Refusal;
  if (is_closed_) return false;
  const std::optional<Key> key = KeyOf(peer);
  if (!key) return true;
  const TimePoint now = reactor_.Time();
  Refusal refusal{};
  absl::StatusOr<PerSourceLimiter::Lease> lease = guard_.Admit(peer, &refusal);
  if (!lease.ok() && refusal != Refusal::kPunished && now - swept_at_ >= kSweepAtMostEvery) {
    // Some may have ended since.
    Sweep();
    lease = guard_.Admit(peer, &refusal);
  }
  if (!lease.ok() && refusal != Refusal::kPunished) {
    const auto source =
        refusal == Refusal::kSourceFull ? std::optional(PerSourceLimiter::SourceOf(key->first)) : std::nullopt;
    if (EndOldest(source, ToTransportError(lease.status()).message)) lease = guard_.Admit(peer);
  }
  if (!lease.ok()) {
    guard_.Refused(peer, ToTransportError(lease.status()).message);
    return false;
  }
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    LogWarning("a connection was refused: no file descriptor is left");
    return false;
  }
  {
    MutexLock lock(mutex_);
    connections_.emplace(*key, Connection{peer, std::move(copy), *std::move(lease), now});
    count_.store(connections_.size(), std::memory_order_relaxed);
  }
  if (timer_ == 0) StartTimer();
  return true;
}

void UnauthenticatedConnections::StartTimer() {
  timer_ = reactor_.CallLater(kSweepEvery, [this] {
    timer_ = 0;
    Sweep();
    if (count() != 0) StartTimer();
  });
}

void UnauthenticatedConnections::Sweep() {
  swept_at_ = reactor_.Time();
  std::vector<pollfd> polled;
  MutexLock lock(mutex_);
  polled.reserve(connections_.size());
  for (const auto& [key, connection] : connections_) {
    polled.push_back({.fd = connection.fd.get(), .events = POLLRDHUP, .revents = 0});
  }
  // Does not wait. When it fails, which it does for want of memory alone, the next one finds them.
  if (::poll(polled.data(), polled.size(), 0) < 0) return;
  size_t i = 0;
  for (auto it = connections_.begin(); it != connections_.end(); ++i) {
    const Connection& connection = it->second;
    const bool is_late = swept_at_ - connection.since >= timeout_ ||
                         (connection.refused_at && swept_at_ - *connection.refused_at >= kForAnAnswer);
    if (!is_late && polled[i].revents == 0) {
      ++it;
      continue;
    }
    // Also one that its client has half closed: gRPC may still wait for what it will never read.
    ::shutdown(connection.fd.get(), SHUT_RDWR);
    it = connections_.erase(it);
  }
  count_.store(connections_.size(), std::memory_order_relaxed);
}

IpAddress UnauthenticatedConnections::SourceWithMost() const {
  IpAddress most;
  size_t most_count = 0;
  IpAddress source;
  size_t count = 0;
  for (const auto& [key, connection] : connections_) {
    // Those of a source are next to each other.
    const IpAddress next = PerSourceLimiter::SourceOf(key.first);
    count = next == source ? count + 1 : 1;
    source = next;
    if (count > most_count) {
      most = source;
      most_count = count;
    }
  }
  return most;
}

bool UnauthenticatedConnections::EndOldest(const std::optional<IpAddress>& source, std::string_view cause) {
  SocketAddress peer;
  {
    MutexLock lock(mutex_);
    if (connections_.empty()) return false;
    const IpAddress of = source.value_or(SourceWithMost());
    auto oldest = connections_.end();
    for (auto it = connections_.begin(); it != connections_.end(); ++it) {
      if (PerSourceLimiter::SourceOf(it->first.first) != of) continue;
      if (oldest == connections_.end() || it->second.since < oldest->second.since) oldest = it;
    }
    if (oldest == connections_.end()) return false;
    ::shutdown(oldest->second.fd.get(), SHUT_RDWR);
    peer = std::move(oldest->second.peer);
    connections_.erase(oldest);
    count_.store(connections_.size(), std::memory_order_relaxed);
  }
  guard_.Refused(peer, StrCat(cause, "; this was the oldest"));
  return true;
}

void UnauthenticatedConnections::Failed(std::string_view peer, const absl::Status& why) {
  if (!guard_.Failed(peer, why) || count() == 0) return;
  const std::optional<SocketAddress> address = ParsePeerName(peer);
  const std::optional<Key> key = address ? KeyOf(*address) : std::nullopt;
  if (!key) return;
  MutexLock lock(mutex_);
  const auto [begin, end] = connections_.equal_range(*key);
  for (auto it = begin; it != end; ++it) {
    if (!it->second.refused_at) it->second.refused_at = reactor_.clock().Now();
  }
}

void UnauthenticatedConnections::Close() {
  is_closed_ = true;
  reactor_.CancelTimer(std::exchange(timer_, 0));
  MutexLock lock(mutex_);
  connections_.clear();
  count_.store(0, std::memory_order_relaxed);
}

void UnauthenticatedConnections::Identified(std::string_view peer, const Caller& caller) {
  if (count() == 0) return;
  const std::optional<SocketAddress> address = ParsePeerName(peer);
  const std::optional<Key> key = address ? KeyOf(*address) : std::nullopt;
  if (!key) return;
  {
    MutexLock lock(mutex_);
    if (connections_.erase(*key) == 0) return;
    count_.store(connections_.size(), std::memory_order_relaxed);
  }
  guard_.Identified(caller);
}

}  // namespace transportd
