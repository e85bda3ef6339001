// Numbers for metrics: one thread at a time changes them, any thread may read them.
#ifndef TRANSPORTD_TRANSPORTS_BASE_METRIC_H_
#define TRANSPORTD_TRANSPORTS_BASE_METRIC_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "transports/api/time.h"

namespace transportd {

// Costs no more than an ordinary number: no locked instruction. Threading: see above; what a reader gets is some
// moment's.
class Counter final {
 public:
  void Add(uint64_t amount = 1) { value_.store(value() + amount, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// What a Histogram has counted. Threading: a value.
template <size_t kBoundCount>
struct HistogramCounts {
  std::array<uint64_t, kBoundCount + 1> counts = {};  // Each value once; the last: beyond every bound.
  uint64_t sum = 0;                                   // Of the values.

  HistogramCounts& operator+=(const HistogramCounts& other) {
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
};

// Counts values by the first of the bounds, an array that ascends, that they do not exceed. Threading: see above.
template <const auto& kBounds>
class Histogram final {
 public:
  using Counts = HistogramCounts<kBounds.size()>;

  void Record(uint64_t value) {
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), value);
    counts_[static_cast<size_t>(bound - kBounds.begin())].Add();
    sum_.Add(value);
  }
  Counts Read() const {
    Counts out;
    for (size_t i = 0; i < counts_.size(); ++i) out.counts[i] = counts_[i].value();
    out.sum = sum_.value();
    return out;
  }

 private:
  std::array<Counter, kBounds.size() + 1> counts_;
  Counter sum_;
};

// The largest value of the last one to two periods. Threading: see above.
class RecentMaximum final {
 public:
  explicit constexpr RecentMaximum(Duration period) : period_(period) {}

  void Record(TimePoint now, uint64_t value) {
    const int64_t index = now.time_since_epoch() / period_;
    const int64_t last = index_.load(std::memory_order_relaxed);
    if (index != last) {
      before_.store(index == last + 1 ? current_.load(std::memory_order_relaxed) : 0, std::memory_order_relaxed);
      current_.store(0, std::memory_order_relaxed);
      index_.store(index, std::memory_order_relaxed);
    }
    if (value > current_.load(std::memory_order_relaxed)) current_.store(value, std::memory_order_relaxed);
  }
  uint64_t Read(TimePoint now) const {
    const int64_t age = now.time_since_epoch() / period_ - index_.load(std::memory_order_relaxed);
    const uint64_t current = current_.load(std::memory_order_relaxed);
    if (age <= 0) return std::max(current, before_.load(std::memory_order_relaxed));
    return age == 1 ? current : 0;
  }

 private:
  const Duration period_;
  std::atomic<int64_t> index_{0};
  std::atomic<uint64_t> current_{0};
  std::atomic<uint64_t> before_{0};
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_METRIC_H_
