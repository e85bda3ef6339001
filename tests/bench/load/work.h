// What the load generator runs: a work on one event loop, and what is measured of it.
#ifndef TRANSPORTD_TESTS_BENCH_LOAD_WORK_H_
#define TRANSPORTD_TESTS_BENCH_LOAD_WORK_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transports/api/event_loop.h"

namespace transportd::bench {

// Threading: a value.
struct Settings {
  std::string host = "127.0.0.1";
  Duration measured = std::chrono::seconds(2);
  Duration warmup = std::chrono::milliseconds(500);
  std::optional<TlsOptions> tls = {};  // Unset: connections without TLS.
  std::vector<std::string> arguments = {};

  // The work's argument `index` as a number; 0 when there is none.
  int Number(size_t index) const;
  CreateConnectionOptions ConnectTo(int port) const;
};

// What one loop, or all of them together, measured.
struct Tally {
  std::vector<float> latencies_us = {};
  double count_per_s = 0;
  double bytes_per_s = 0;
  uint64_t lost_count = 0;   // Datagrams without an answer.
  std::string failure = {};  // Empty: none.
};

// The point where all loops begin together. Threading: any thread.
class StartLine final {
 public:
  explicit StartLine(int loop_count) : missing_count_(loop_count) {}
  // `begin` is called on `loop` when every loop has arrived.
  void Arrive(EventLoop& loop, std::function<void()> begin);

 private:
  struct Arrived {
    EventLoop* loop;
    std::function<void()> begin;
  };
  std::vector<Arrived> arrived_;
  int missing_count_;
};

// One loop's run of a work: from opening, over the start line and the warm-up, through the measured time.
// Threading: loop thread only.
class Course final {
 public:
  // All must outlive it. `index`: which of the `loop_count` loops this is.
  Course(EventLoop& loop, const Settings& settings, StartLine& start, int index, int loop_count)
      : loop_(loop), settings_(settings), start_(start), index_(index), loop_count_(loop_count) {}

  EventLoop& loop() { return loop_; }
  const Settings& settings() const { return settings_; }
  // This loop's part of `total_count` connections.
  int Share(int total_count) const;

  // Everything is open: `begin` comes when it is so on all loops, and `end` when the measured time is over.
  void Ready(std::function<void()> begin, std::function<void()> end);
  // The work is over; the loop stops.
  void Done() { loop_.Stop(); }
  // The same, for a reason that makes the whole run worthless.
  void Fail(std::string_view what, const absl::Status& status = absl::OkStatus());

  // For a work without a time of its own: all counts from here on.
  void MeasureFromNow() { is_measuring_ = true; }
  bool is_measuring() const { return is_measuring_; }
  bool is_over() const { return is_over_; }
  TimePoint Now() const;
  // Counted only within the measured time.
  void AddLatency(TimePoint since);
  void AddBytes(uint64_t size_bytes) {
    if (is_measuring_) bytes_ += size_bytes;
  }
  void AddLost() {
    if (is_measuring_) ++tally_.lost_count;
  }
  // For a work that measures its bytes itself.
  void SetBytesPerSecond(double bytes_per_s) { own_bytes_per_s_ = bytes_per_s; }

  // After the loop has stopped.
  Tally TakeTally();

 private:
  EventLoop& loop_;
  const Settings& settings_;
  StartLine& start_;
  const int index_;
  const int loop_count_;
  bool is_measuring_ = false;
  bool is_over_ = false;
  TimePoint measured_since_;
  Duration measured_{0};
  uint64_t bytes_ = 0;
  std::optional<double> own_bytes_per_s_;
  Tally tally_;
};

// Threading: loop thread only.
class Work {
 public:
  explicit Work(Course& course) : course_(course) {}
  virtual ~Work() = default;
  // Begins to open what it needs; ends with course.Ready, Done or Fail.
  virtual void Open() = 0;

 protected:
  Course& course() { return course_; }

 private:
  Course& course_;
};

// A kind of work by its name on the command line.
struct WorkKind {
  std::string_view name;
  std::string_view arguments;  // As the usage line names them.
  size_t argument_count;
  std::string_view rate_name;  // Of Tally::count_per_s, in the output; empty: none.
  std::unique_ptr<Work> (*make)(Course& course);
};

template <typename W>
std::unique_ptr<Work> MakeWork(Course& course) {
  return std::make_unique<W>(course);
}

// The kinds, each in the file of its name.
extern const WorkKind kEchoWork, kBulkUpWork, kBulkDownWork, kUdpWork, kConnectWork, kServeWork, kSpawnWork,
    kOutputWork, kPingAmongBulkWork, kIdleWork, kStalledWork, kIdlePingWork;

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_LOAD_WORK_H_
