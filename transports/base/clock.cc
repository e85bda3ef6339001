#include "transports/base/clock.h"

namespace transportd {
namespace {

class MonotonicClock final : public Clock {
 public:
  std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds> Now() const override {
    return std::chrono::steady_clock::now();
  }
};

}  // namespace

Clock& SystemClock() {
  static MonotonicClock* const clock = new MonotonicClock;  // Never destroyed: threads may outlive main().
  return *clock;
}

}  // namespace transportd
