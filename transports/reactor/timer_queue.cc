#include "transports/reactor/timer_queue.h"

#include <algorithm>
#include <utility>

namespace transportd {

TimerId TimerQueue::Add(TimePoint when, absl::AnyInvocable<void()> callback) {
  when = std::max(when, floor_);
  TimerId timer = timers_.Insert(Timer{.place = heap_.size(), .callback = std::move(callback)});
  Entry entry{.when = when, .sequence = next_sequence_++, .timer = timer};
  heap_.push_back(entry);
  SiftUp(heap_.size() - 1, entry);
  return timer;
}

bool TimerQueue::Cancel(TimerId timer) {
  if (timers_.Find(timer) == nullptr) return false;
  absl::AnyInvocable<void()> callback = Remove(timer);  // Destroyed last: it may call back into this queue.
  return true;
}

std::optional<TimePoint> TimerQueue::NextTime() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().when;
}

void TimerQueue::RunDue(TimePoint now) {
  floor_ = now;
  const uint64_t end_sequence = next_sequence_;
  // What is added from here on has at least this time and a later number: it stands behind all that is due.
  while (!heap_.empty() && heap_.front().when <= now && heap_.front().sequence < end_sequence) {
    absl::AnyInvocable<void()> callback = Remove(heap_.front().timer);
    callback();
  }
}

void TimerQueue::Clear() {
  while (!heap_.empty()) Cancel(heap_.back().timer);
}

bool TimerQueue::Before(const Entry& a, const Entry& b) {
  return a.when != b.when ? a.when < b.when : a.sequence < b.sequence;
}

void TimerQueue::Put(size_t place, const Entry& entry) {
  heap_[place] = entry;
  timers_.Find(entry.timer)->place = place;
}

void TimerQueue::SiftUp(size_t place, const Entry& entry) {
  while (place > 0) {
    size_t parent = (place - 1) / 2;
    if (!Before(entry, heap_[parent])) break;
    Put(place, heap_[parent]);
    place = parent;
  }
  Put(place, entry);
}

void TimerQueue::SiftDown(size_t place, const Entry& entry) {
  for (size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
    if (child + 1 < heap_.size() && Before(heap_[child + 1], heap_[child])) ++child;
    if (!Before(heap_[child], entry)) break;
    Put(place, heap_[child]);
    place = child;
  }
  Put(place, entry);
}

absl::AnyInvocable<void()> TimerQueue::Remove(TimerId timer) {
  Timer removed = timers_.Erase(timer);
  const Entry last = heap_.back();
  heap_.pop_back();
  if (removed.place == heap_.size()) return std::move(removed.callback);
  // The last entry fills the gap, and may belong above or below it.
  if (removed.place > 0 && Before(last, heap_[(removed.place - 1) / 2])) {
    SiftUp(removed.place, last);
  } else {
    SiftDown(removed.place, last);
  }
  return std::move(removed.callback);
}

}  // namespace transportd
