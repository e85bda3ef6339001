#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "tests/bench/load/work.h"
#include "transports/base/clock.h"
#include "transports/base/mutex.h"
#include "transports/base/str_cat.h"

namespace transportd::bench {
namespace {

Mutex start_mutex;

}  // namespace

int Settings::Number(size_t index) const { return index < arguments.size() ? std::atoi(arguments[index].c_str()) : 0; }

CreateConnectionOptions Settings::ConnectTo(int port) const {
  CreateConnectionOptions options;
  options.remote = {.host = host, .port = static_cast<uint32_t>(port)};
  options.tls = tls;
  return options;
}

void StartLine::Arrive(EventLoop& loop, std::function<void()> begin) {
  MutexLock lock(start_mutex);
  arrived_.push_back({&loop, std::move(begin)});
  if (--missing_count_ > 0) return;
  for (Arrived& each : arrived_) each.loop->CallSoonThreadsafe(std::move(each.begin));
}

int Course::Share(int total_count) const {
  return total_count / loop_count_ + (index_ < total_count % loop_count_ ? 1 : 0);
}

TimePoint Course::Now() const { return SystemClock().Now(); }

void Course::Ready(std::function<void()> begin, std::function<void()> end) {
  start_.Arrive(loop_, [this, begin = std::move(begin), end = std::move(end)] {
    loop_.CallLater(settings_.warmup, [this] {
      measured_since_ = Now();
      is_measuring_ = true;
    });
    loop_.CallLater(settings_.warmup + settings_.measured, [this, end] {
      measured_ = Now() - measured_since_;
      is_measuring_ = false;
      is_over_ = true;
      end();
    });
    begin();
  });
}

void Course::Fail(std::string_view what, const absl::Status& status) {
  if (tally_.failure.empty()) {
    tally_.failure = status.ok() ? std::string(what) : StrCat(what, ": ", std::string(status.message()));
  }
  loop_.Stop();
}

void Course::AddLatency(TimePoint since) {
  if (!is_measuring_) return;
  tally_.latencies_us.push_back(std::chrono::duration<float, std::micro>(Now() - since).count());
}

Tally Course::TakeTally() {
  const double seconds = std::chrono::duration<double>(measured_).count();
  if (seconds > 0) {
    tally_.count_per_s = static_cast<double>(tally_.latencies_us.size()) / seconds;
    tally_.bytes_per_s = static_cast<double>(bytes_) / seconds;
  }
  if (own_bytes_per_s_.has_value()) tally_.bytes_per_s = *own_bytes_per_s_;
  return std::move(tally_);
}

}  // namespace transportd::bench
