#include "server/admin/metrics_writer.h"

#include <array>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(MetricsWriter, HeaderOnceThenItsSamples) {
  MetricsWriter out;
  out.Gauge("sessions", "Open sessions.");
  out.Sample(uint64_t{3});
  out.Counter("bytes_total", "Bytes.");
  out.Sample(uint64_t{18'446'744'073'709'551'615u}, {{"direction", "sent"}, {"kind", "stream"}});
  out.Sample(0.25, {{"direction", "received"}});
  EXPECT_EQ(out.Take(), R"(# HELP transportd_sessions Open sessions.
# TYPE transportd_sessions gauge
transportd_sessions 3
# HELP transportd_bytes_total Bytes.
# TYPE transportd_bytes_total counter
transportd_bytes_total{direction="sent",kind="stream"} 18446744073709551615
transportd_bytes_total{direction="received"} 0.25
)");
}

TEST(MetricsWriter, ConventionalNamesHaveNoPrefix) {
  MetricsWriter out;
  out.Gauge("process_open_fds", "Open.");
  EXPECT_EQ(out.Take(), "# HELP process_open_fds Open.\n# TYPE process_open_fds gauge\n");
}

TEST(MetricsWriter, LabelsAreEscaped) {
  MetricsWriter out;
  out.Gauge("x", "X.");
  out.Sample(uint64_t{1}, {{"rule", "a\"b\\c\nd"}});
  EXPECT_TRUE(out.Take().ends_with("transportd_x{rule=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

constexpr std::array<uint64_t, 2> kBounds = {1'000'000, 500'000'000};

TEST(MetricsWriter, AHistogramAccumulatesInItsUnit) {
  Histogram<kBounds> histogram;
  histogram.Record(0);
  histogram.Record(1'000'000);  // A bound is part of its bucket.
  histogram.Record(1'000'001);
  histogram.Record(2'000'000'000);
  MetricsWriter out;
  out.Histogram("turn_seconds", "Turns.", kBounds, histogram.Read(), 1e9, {{"loop", "0"}});
  EXPECT_EQ(out.Take(), R"(# HELP transportd_turn_seconds Turns.
# TYPE transportd_turn_seconds histogram
transportd_turn_seconds_bucket{loop="0",le="0.001"} 2
transportd_turn_seconds_bucket{loop="0",le="0.5"} 3
transportd_turn_seconds_bucket{loop="0",le="+Inf"} 4
transportd_turn_seconds_sum{loop="0"} 2.002000001
transportd_turn_seconds_count{loop="0"} 4
)");
}

}  // namespace
}  // namespace transportd
