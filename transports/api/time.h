// Times of the event loop.
#ifndef TRANSPORTD_TRANSPORTS_API_TIME_H_
#define TRANSPORTD_TRANSPORTS_API_TIME_H_

#include <chrono>

namespace transportd {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_TIME_H_
