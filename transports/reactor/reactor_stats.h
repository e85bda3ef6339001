// How busy a reactor is.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_REACTOR_STATS_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_REACTOR_STATS_H_

#include <array>
#include <chrono>
#include <cstdint>

#include "transports/base/metric.h"

namespace transportd {

// In nanoseconds: 10 us to 10 s.
inline constexpr std::array<uint64_t, 10> kTurnBoundsNs = {
    10'000, 50'000, 100'000, 500'000, 1'000'000, 5'000'000, 10'000'000, 100'000'000, 1'000'000'000, 10'000'000'000};

// Threading: changed by the loop thread, read by any.
struct ReactorStats {
  // How long each turn took, its wait aside: what became ready meanwhile has waited for so long at the most.
  Histogram<kTurnBoundsNs> turn_ns;
  RecentMaximum longest_turn_ns{std::chrono::seconds(10)};
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_REACTOR_STATS_H_
