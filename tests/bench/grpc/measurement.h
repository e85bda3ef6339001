// When a measurement begins and ends, and what is measured in between.
#ifndef TRANSPORTD_TESTS_BENCH_GRPC_MEASUREMENT_H_
#define TRANSPORTD_TESTS_BENCH_GRPC_MEASUREMENT_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "tests/bench/grpc/latencies.h"
#include "transports/api/time.h"

namespace transportd::bench {

// Threading: one thread at a time.
class Measurement final {
 public:
  // It begins `warmup` after each of the connections has made a round trip, and ends `period` later, or with the first
  // round trip after that when there was none.
  Measurement(size_t connection_count, Duration warmup, Duration period)
      : waited_for_count_(connection_count), warmup_(warmup), period_(period) {}

  // A connection's first round trip is over.
  void AddFirst(TimePoint end) {
    if (--waited_for_count_ == 0) begin_ = end + warmup_;
  }
  // Any other.
  void Add(TimePoint begin, TimePoint end) {
    if (!IsUnderWay() || end < begin_ || IsOver(end)) return;
    latencies_.Add(end - begin);
    period_ = std::max(period_, end - begin_);
  }
  bool IsOver(TimePoint now) const { return IsUnderWay() && now >= begin_ + period_ && !latencies_.empty(); }

  // As Latencies::ToJson. When it is over.
  std::string ToJson() { return latencies_.ToJson(period_); }

 private:
  bool IsUnderWay() const { return waited_for_count_ == 0; }

  size_t waited_for_count_;
  const Duration warmup_;
  Duration period_;
  TimePoint begin_;
  Latencies latencies_;
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_GRPC_MEASUREMENT_H_
