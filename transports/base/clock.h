// Time, injected so that tests can turn it by hand.
#ifndef TRANSPORTD_TRANSPORTS_BASE_CLOCK_H_
#define TRANSPORTD_TRANSPORTS_BASE_CLOCK_H_

#include <chrono>

namespace transportd {

// Threading: any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds> Now() const = 0;
};

// CLOCK_MONOTONIC; lives as long as the program.
Clock& SystemClock();

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_CLOCK_H_
