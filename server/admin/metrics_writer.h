// Prometheus' text format, version 0.0.4:
// https://prometheus.io/docs/instrumenting/exposition_formats/
#ifndef TRANSPORTD_SERVER_ADMIN_METRICS_WRITER_H_
#define TRANSPORTD_SERVER_ADMIN_METRICS_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "transports/base/metric.h"

namespace transportd {

// Threading: one thread.
class MetricsWriter final {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // What follows are samples of this metric. `name` without the prefix, but for the conventional `process_*`; `help`:
  // one line.
  void Gauge(std::string_view name, std::string_view help) { Begin(name, help, "gauge"); }
  void Counter(std::string_view name, std::string_view help) { Begin(name, help, "counter"); }

  void Sample(uint64_t value, Labels labels = {});
  void Sample(double value, Labels labels = {});

  // A whole histogram in one unit: `bounds` and the sum are divided by `unit`. Samples of several labels of the same
  // name follow one another, each with `help`.
  template <size_t kBoundCount>
  void Histogram(std::string_view name, std::string_view help, const std::array<uint64_t, kBoundCount>& bounds,
                 const HistogramCounts<kBoundCount>& counts, double unit, Labels labels = {}) {
    WriteHistogram(name, help, bounds, counts.counts, counts.sum, unit, labels);
  }

  std::string Take() { return std::move(text_); }

 private:
  void Begin(std::string_view name, std::string_view help, std::string_view type);
  void WriteHistogram(std::string_view name, std::string_view help, std::span<const uint64_t> bounds,
                      std::span<const uint64_t> counts, uint64_t sum, double unit, Labels labels);
  void Line(std::string_view suffix, Labels labels, std::string_view le, std::string_view value);

  std::string name_;
  std::string text_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_ADMIN_METRICS_WRITER_H_
