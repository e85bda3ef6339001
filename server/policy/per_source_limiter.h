// Bounds what those may do who have not said yet who they are.
#ifndef TRANSPORTD_SERVER_POLICY_PER_SOURCE_LIMITER_H_
#define TRANSPORTD_SERVER_POLICY_PER_SOURCE_LIMITER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/ip_address.h"
#include "transports/api/address.h"
#include "transports/base/clock.h"
#include "transports/base/mutex.h"

namespace transportd {

// Threading: a value.
struct PerSourceOptions {
  uint32_t max_open_count = 32;        // Unauthenticated connections of one source.
  size_t max_total_open_count = 1024;  // Of all sources.
  // As OpenSSH's PerSourcePenalties (sshd_config(5)): each failure adds to the source's penalty, which passes with
  // time; from the minimum on the source is refused until it is over.
  std::chrono::nanoseconds failure_penalty = std::chrono::seconds(5);
  std::chrono::nanoseconds min_penalty = std::chrono::seconds(15);
  std::chrono::nanoseconds max_penalty = std::chrono::minutes(10);
  // False: failures are counted, and nobody is refused for them.
  bool refuse_after_failures = true;
  // Sources with a penalty; of more, the one that is over first is forgotten.
  size_t max_penalty_count = 65536;
};

// Counts connections whose client is not authenticated, by source: an IPv4 address, or the first 64 bits of an IPv6
// one, which is what one customer has at least. ::ffff:a.b.c.d is the IPv4 address. A Unix socket has no source: always
// admitted. Behind a proxy or load balancer all clients are one source. Threading: any thread.
class PerSourceLimiter final {
 private:
  struct State;

 public:
  // The source that an address belongs to, as its first address.
  static IpAddress SourceOf(const IpAddress& address);

  // A connection that is not authenticated yet: release it when it is, or when it ends. May outlive the limiter.
  class Lease final {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }
    void Release();

   private:
    friend class PerSourceLimiter;
    Lease(std::shared_ptr<State> state, const IpAddress& source) : state_(std::move(state)), source_(source) {}

    std::shared_ptr<State> state_;  // Shared with the limiter and other leases; null: counts nowhere.
    IpAddress source_;
  };

  explicit PerSourceLimiter(const PerSourceOptions& options = {}, Clock& clock = SystemClock());
  ~PerSourceLimiter();

  enum class Refusal {
    kPunished,    // Its source has failed too often.
    kSourceFull,  // Its source has all its places.
    kFull,        // All places are taken.
  };
  // RESOURCE_EXHAUSTED / QUOTA_EXCEEDED: close the connection; `refusal`, which may be null, says why. INVALID_ARGUMENT
  // / INVALID_HOST for what is no numeric address.
  absl::StatusOr<Lease> Admit(const SocketAddress& peer, Refusal* refusal = nullptr);

  // What a failure led to. Threading: a value.
  struct Failure {
    bool is_refused = false;  // The source's connections are from now on.
    // Set when it is worth a record: until the source is refused, then when there were as many again, and every so
    // often. How many there were since the last one.
    std::optional<uint64_t> unrecorded_count = {};
  };
  // Its client could not say who it is. Unix sockets are one source here, which is never refused.
  Failure AuthFailed(const SocketAddress& peer);

  // For metrics. Threading: a value.
  struct Counts {
    size_t open_count = 0;
    size_t source_count = 0;   // Of those.
    size_t penalty_count = 0;  // Sources with a penalty, in force or not.
    uint64_t rejected_count = 0;
  };
  Counts Usage() const;

 private:
  const std::shared_ptr<State> state_;  // Shared with the leases.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_PER_SOURCE_LIMITER_H_
