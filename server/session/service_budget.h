// What all sessions together hold, against the service's limits.
#ifndef TRANSPORTD_SERVER_SESSION_SERVICE_BUDGET_H_
#define TRANSPORTD_SERVER_SESSION_SERVICE_BUDGET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "server/session/session_limits.h"

namespace transportd {

// Threading: any thread.
class ServiceBudget final {
 public:
  explicit ServiceBudget(const ServiceLimits& limits) : limits_(limits) {}

  // False: the limit is reached, and nothing was taken.
  bool TakeSession() { return Take(session_count_, limits_.max_session_count); }
  void ReturnSession() { session_count_.fetch_sub(1, std::memory_order_relaxed); }
  // A transport's place, returned when the last hold of it is gone. Null: the limit is reached.
  std::shared_ptr<void> TakeTransport() {
    if (!Take(transport_count_, limits_.max_transport_count)) return nullptr;
    return std::shared_ptr<void>(this, [](void* budget) {
      static_cast<ServiceBudget*>(budget)->transport_count_.fetch_sub(1, std::memory_order_relaxed);
    });
  }

  void AddBufferedBytes(int64_t delta_bytes) { buffered_bytes_.fetch_add(delta_bytes, std::memory_order_relaxed); }
  // Nothing more should be read from sockets while this holds, nor from clients that have written more than their
  // share.
  bool OverBufferedBytes() const {
    return buffered_bytes_.load(std::memory_order_relaxed) > static_cast<int64_t>(limits_.buffered_bytes);
  }
  uint64_t BufferedShareBytes() const { return limits_.buffered_bytes / limits_.max_session_count; }

  uint32_t session_count() const { return session_count_.load(std::memory_order_relaxed); }
  uint32_t transport_count() const { return transport_count_.load(std::memory_order_relaxed); }
  uint64_t buffered_bytes() const {
    return static_cast<uint64_t>(std::max<int64_t>(buffered_bytes_.load(std::memory_order_relaxed), 0));
  }

  const ServiceLimits& limits() const { return limits_; }

 private:
  static bool Take(std::atomic<uint32_t>& count, uint32_t limit_count) {
    if (count.fetch_add(1, std::memory_order_relaxed) < limit_count) return true;
    count.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }

  const ServiceLimits limits_;
  std::atomic<uint32_t> session_count_{0};
  std::atomic<uint32_t> transport_count_{0};
  std::atomic<int64_t> buffered_bytes_{0};
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SERVICE_BUDGET_H_
