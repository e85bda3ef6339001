// The timer queue, with few timers and with many.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "transports/api/event_loop.h"
#include "transports/api/time.h"
#include "transports/reactor/timer_queue.h"

namespace transportd {
namespace {

// Delays of up to a minute, the same in each run; made beforehand, so that only the queue is measured.
class Delays final {
 public:
  Delays() {
    std::mt19937_64 random(1);
    std::uniform_int_distribution<int64_t> nanoseconds(1, Duration(std::chrono::minutes(1)).count());
    for (Duration& delay : delays_) delay = Duration(nanoseconds(random));
  }
  Duration Next() { return delays_[next_++ % delays_.size()]; }

 private:
  std::vector<Duration> delays_ = std::vector<Duration>(1 << 16);
  size_t next_ = 0;
};

// The oldest is cancelled, and another added: the life of a timeout that does not strike.
void AddAndCancelTimer(benchmark::State& state) {
  Delays delays;
  TimerQueue timers;
  std::vector<TimerId> ids;
  for (int64_t i = 0; i < state.range(0); ++i) ids.push_back(timers.Add(TimePoint(delays.Next()), [] {}));
  size_t oldest = 0;
  for (auto _ : state) {
    timers.Cancel(ids[oldest]);
    ids[oldest] = timers.Add(TimePoint(delays.Next()), [] {});
    if (++oldest == ids.size()) oldest = 0;
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(AddAndCancelTimer)->ArgName("timers")->Arg(10)->Arg(1000)->Arg(100'000);

// The next timer expires, and adds another: there are always as many.
void AddAndExpireTimer(benchmark::State& state) {
  Delays delays;
  TimerQueue timers;
  TimePoint now;
  int64_t expired_count = 0;
  const std::function<void()> again = [&] {
    ++expired_count;
    timers.Add(now + delays.Next(), [&again] { again(); });
  };
  for (int64_t i = 0; i < state.range(0); ++i) timers.Add(now + delays.Next(), [&again] { again(); });
  for (auto _ : state) {
    now = *timers.NextTime();
    timers.RunDue(now);
  }
  state.SetItemsProcessed(expired_count);
}
BENCHMARK(AddAndExpireTimer)->ArgName("timers")->Arg(10)->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace transportd
