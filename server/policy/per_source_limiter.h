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
  // An IPv4 address and zeros, or the first half of an IPv6 one.
  struct Source {
    bool is_v6 = false;
    uint64_t bits = 0;
    friend bool operator<(const Source& a, const Source& b) {
      return a.bits != b.bits ? a.bits < b.bits : a.is_v6 < b.is_v6;
    }
  };

 public:
  // A connection that is not authenticated yet: release it when it is, or when it ends. May outlive the limiter.
  class Lease final {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept : state_(std::move(other.state_)), source_(other.source_) {}
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { Release(); }
    void Release();

   private:
    friend class PerSourceLimiter;
    Lease(std::shared_ptr<State> state, Source source) : state_(std::move(state)), source_(source) {}

    std::shared_ptr<State> state_;  // Shared with the limiter and other leases; null: counts nowhere.
    Source source_;
  };

  explicit PerSourceLimiter(const PerSourceOptions& options = {}, Clock& clock = SystemClock());
  ~PerSourceLimiter();

  // RESOURCE_EXHAUSTED / QUOTA_EXCEEDED: the source has too many, all have too many, or it is punished; close the
  // connection. INVALID_ARGUMENT / INVALID_HOST for what is no numeric address. `is_news`, which may be null: it is the
  // first refusal for this cause, and worth a record.
  absl::StatusOr<Lease> Admit(const SocketAddress& peer, bool* is_news = nullptr);

  // What a failure led to. Threading: a value.
  struct Failure {
    bool is_refused = false;  // The source's connections are from now on.
    // Set when it is worth a record, so that a source has few of them however often it tries: how many there were since
    // the last one.
    std::optional<uint64_t> unrecorded_count = {};
  };
  // Its client could not say who it is. Unix sockets are one source here, which is never refused.
  Failure AuthFailed(const SocketAddress& peer);

  // All places are taken: of all sources together.
  bool IsFull() const;

  // For metrics. Threading: a value.
  struct Counts {
    size_t open_count = 0;
    size_t source_count = 0;   // Of those.
    size_t penalty_count = 0;  // Sources with a penalty, in force or not.
    uint64_t rejected_count = 0;
  };
  Counts Usage() const;

 private:
  // Nothing: it has none.
  static absl::StatusOr<std::optional<Source>> SourceOf(const SocketAddress& peer);

  const std::shared_ptr<State> state_;  // Shared with the leases.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_PER_SOURCE_LIMITER_H_
