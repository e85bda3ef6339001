// Timers in the order of their times.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_TIMER_QUEUE_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_TIMER_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "transports/api/event_loop.h"
#include "transports/base/slot_map.h"

namespace transportd {

// A binary heap whose entries know their place, so that cancelling is O(log n) as well. Timers of the same time fire
// in the order they were added. Knows no clock. Threading: loop thread only.
class TimerQueue final {
 public:
  // A time before that of the last RunDue counts as that.
  TimerId Add(TimePoint when, absl::AnyInvocable<void()> callback);

  // True when the timer had not fired; its callback is then destroyed uncalled.
  bool Cancel(TimerId timer);

  // When the next timer is due.
  std::optional<TimePoint> NextTime() const;

  // Calls, in order, what is due at `now` and was there when this began: a callback that adds a timer for now or
  // earlier cannot keep this from returning. A callback may cancel any other.
  void RunDue(TimePoint now);

  // Destroys all callbacks, uncalled.
  void Clear();

  size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    TimePoint when = {};
    uint64_t sequence = 0;
    TimerId timer = 0;
  };
  struct Timer {
    size_t place = 0;  // In heap_.
    absl::AnyInvocable<void()> callback;
  };

  static bool Before(const Entry& a, const Entry& b);
  void Put(size_t place, const Entry& entry);
  void SiftUp(size_t place, const Entry& entry);
  void SiftDown(size_t place, const Entry& entry);
  // Takes the timer out of the heap and returns its callback.
  absl::AnyInvocable<void()> Remove(TimerId timer);

  std::vector<Entry> heap_;
  SlotMap<Timer> timers_;
  uint64_t next_sequence_ = 0;
  TimePoint floor_ = TimePoint::min();  // The time of the last RunDue.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_TIMER_QUEUE_H_
