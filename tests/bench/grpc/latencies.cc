#include "tests/bench/grpc/latencies.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_format.h"
#include "transports/base/check.h"

namespace transportd::bench {

std::string Latencies::ToJson(Duration period) {
  CHECK(!samples_.empty());
  std::sort(samples_.begin(), samples_.end());
  const auto microseconds = [&](double share) {
    const auto index = static_cast<size_t>(share * static_cast<double>(samples_.size() - 1));
    return std::chrono::duration<double, std::micro>(samples_[index]).count();
  };
  const double seconds = std::chrono::duration<double>(period).count();
  return absl::StrFormat(
      R"({"round_trips_per_s": %.1f, "p50_us": %.1f, "p90_us": %.1f, "p99_us": %.1f, "max_us": %.1f})",
      static_cast<double>(samples_.size()) / seconds, microseconds(0.5), microseconds(0.9), microseconds(0.99),
      microseconds(1));
}

}  // namespace transportd::bench
