// How long round trips took.
#ifndef TRANSPORTD_TESTS_BENCH_GRPC_LATENCIES_H_
#define TRANSPORTD_TESTS_BENCH_GRPC_LATENCIES_H_

#include <string>
#include <vector>

#include "transports/api/time.h"

namespace transportd::bench {

// Every sample is kept: no percentile is an estimate. Threading: one thread at a time.
class Latencies final {
 public:
  void Add(Duration latency) { samples_.push_back(latency); }
  bool empty() const { return samples_.empty(); }

  // {"round_trips_per_s", "p50_us", "p90_us", "p99_us", "max_us"}: what the samples of `period` come to. Not when
  // empty.
  std::string ToJson(Duration period);

 private:
  std::vector<Duration> samples_;
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_GRPC_LATENCIES_H_
