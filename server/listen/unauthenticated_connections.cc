#include "server/listen/unauthenticated_connections.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "server/policy/peer_name.h"
#include "transports/api/error.h"
#include "transports/base/logging.h"

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
  const std::optional<Key> key = KeyOf(peer);
  if (!key) return true;
  const TimePoint now = reactor_.Time();
  absl::StatusOr<PerSourceLimiter::Lease> lease = guard_.Admit(peer);
  if (!lease.ok() && now - swept_at_ >= kSweepAtMostEvery) {
    // Some may have ended since.
    Sweep();
    lease = guard_.Admit(peer);
  }
  if (!lease.ok() && guard_.IsFull() && EndOldest()) lease = guard_.Admit(peer);
  if (!lease.ok()) {
    LogDebug("a connection of ", PeerName(peer), " was refused: ", ToTransportError(lease.status()).message);
    return false;
  }
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    LogWarning("a connection was refused: no file descriptor is left");
    return false;
  }
  {
    MutexLock lock(mutex_);
    // One of the same name has ended.
    connections_.insert_or_assign(*key, Connection{std::move(copy), *std::move(lease), now});
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
    if (is_late) ::shutdown(it->second.fd.get(), SHUT_RDWR);
    it = is_late || polled[i].revents != 0 ? connections_.erase(it) : std::next(it);
  }
  count_.store(connections_.size(), std::memory_order_relaxed);
}

bool UnauthenticatedConnections::EndOldest() {
  MutexLock lock(mutex_);
  const auto oldest = std::min_element(connections_.begin(), connections_.end(),
                                       [](const auto& a, const auto& b) { return a.second.since < b.second.since; });
  if (oldest == connections_.end()) return false;
  ::shutdown(oldest->second.fd.get(), SHUT_RDWR);
  connections_.erase(oldest);
  count_.store(connections_.size(), std::memory_order_relaxed);
  return true;
}

void UnauthenticatedConnections::Failed(std::string_view peer, const absl::Status& why) {
  if (!guard_.Failed(peer, why) || count() == 0) return;
  const std::optional<SocketAddress> address = ParsePeerName(peer);
  const std::optional<Key> key = address ? KeyOf(*address) : std::nullopt;
  if (!key) return;
  MutexLock lock(mutex_);
  const auto found = connections_.find(*key);
  if (found == connections_.end() || found->second.refused_at) return;
  found->second.refused_at = reactor_.clock().Now();
}

void UnauthenticatedConnections::Close() {
  reactor_.CancelTimer(std::exchange(timer_, 0));
  MutexLock lock(mutex_);
  connections_.clear();
  count_.store(0, std::memory_order_relaxed);
}

void UnauthenticatedConnections::Identified(const Caller& caller) {
  if (count() == 0) return;
  const std::optional<SocketAddress> peer = ParsePeerName(caller.peer);
  const std::optional<Key> key = peer ? KeyOf(*peer) : std::nullopt;
  if (!key) return;
  {
    MutexLock lock(mutex_);
    if (connections_.erase(*key) == 0) return;
    count_.store(connections_.size(), std::memory_order_relaxed);
  }
  guard_.Identified(caller);
}

}  // namespace transportd
