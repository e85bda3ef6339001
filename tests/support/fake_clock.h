// A clock that stands still until it is told to go on.
#ifndef TRANSPORTD_TESTS_SUPPORT_FAKE_CLOCK_H_
#define TRANSPORTD_TESTS_SUPPORT_FAKE_CLOCK_H_

#include "transports/api/event_loop.h"
#include "transports/base/clock.h"
#include "transports/base/mutex.h"

namespace transportd {

// Begins at 1000 s, so that a test can name times in the past. Threading: any thread.
class FakeClock final : public Clock {
 public:
  TimePoint Now() const override;
  void Advance(Duration duration);

 private:
  mutable Mutex mutex_;
  TimePoint now_ ABSL_GUARDED_BY(mutex_) = TimePoint(std::chrono::seconds(1000));
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_FAKE_CLOCK_H_
