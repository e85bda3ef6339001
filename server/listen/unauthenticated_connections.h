// The connections of which nobody knows yet whose they are.
#ifndef TRANSPORTD_SERVER_LISTEN_UNAUTHENTICATED_CONNECTIONS_H_
#define TRANSPORTD_SERVER_LISTEN_UNAUTHENTICATED_CONNECTIONS_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "server/policy/authorizer.h"
#include "server/policy/connection_guard.h"
#include "server/policy/ip_address.h"
#include "server/policy/per_source_limiter.h"
#include "transports/api/address.h"
#include "transports/api/time.h"
#include "transports/base/mutex.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// A TCP connection is here from its acceptance to its first call that is identified, or its end. gRPC, to which it was
// given, tells neither; so a second descriptor of it is kept here, and looked at every second. When all places of a
// source are taken the oldest of them ends for the next one; when all of all are, the oldest of the source that has
// most: whoever takes them keeps nobody out for long. Of a Unix socket
// nothing is kept: its file says who may connect. One for all listeners of the service.
//
// Threading: as each method says.
class UnauthenticatedConnections final {
 public:
  // `timeout`: how long a connection may be here; then it is shut down. Both outlive the last Admit; `guard` outlives
  // this.
  UnauthenticatedConnections(Reactor& reactor, ConnectionGuard& guard, std::chrono::nanoseconds timeout)
      : reactor_(reactor), guard_(guard), timeout_(timeout) {}
  // Close was called.
  ~UnauthenticatedConnections() = default;

  // Whether this connection, just accepted, may be given to gRPC. The reactor's thread.
  bool Admit(int fd, const SocketAddress& peer);
  // Forgets all of them, looks no more, and admits none; they go on. Idempotent. The reactor's thread.
  void Close();

  // A call of this peer, by gRPC's name of it, was identified, or was not: see ConnectionGuard. Any thread.
  void Identified(std::string_view peer, const Caller& caller);
  void Failed(std::string_view peer, const absl::Status& why);

  size_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  // The client's address and port. Not quite one connection's: it may have another one from there to another address of
  // this host, and gRPC does not tell which it is.
  using Key = std::pair<IpAddress, uint16_t>;
  struct Connection {
    SocketAddress peer;
    UniqueFd fd;
    PerSourceLimiter::Lease lease;
    TimePoint since;
    std::optional<TimePoint> refused_at = {};  // Its client has failed too often: it ends when it has its answer.
  };

  static std::optional<Key> KeyOf(const SocketAddress& peer);
  // Of those that are here; there is one.
  IpAddress SourceWithMost() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Lets go of those that have ended, and ends those that are late.
  void Sweep();
  // Ends the one that is here for the longest, of `source` or, if unset, of the source that has most. False: there is
  // none.
  bool EndOldest(const std::optional<IpAddress>& source, std::string_view cause);
  // Every so often, while there is one.
  void StartTimer();

  Reactor& reactor_;
  ConnectionGuard& guard_;
  const std::chrono::nanoseconds timeout_;
  TimerId timer_ = 0;
  TimePoint swept_at_ = {};
  bool is_closed_ = false;

  Mutex mutex_;
  std::multimap<Key, Connection> connections_ ABSL_GUARDED_BY(mutex_);
  std::atomic<size_t> count_{0};  // Of those; so that most calls take no lock.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_LISTEN_UNAUTHENTICATED_CONNECTIONS_H_
