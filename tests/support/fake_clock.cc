#include "tests/support/fake_clock.h"

namespace transportd {

TimePoint FakeClock::Now() const {
  MutexLock lock(mutex_);
  return now_;
}

void FakeClock::Advance(Duration duration) {
  MutexLock lock(mutex_);
  now_ += duration;
}

}  // namespace transportd
