#include "clients/cpp/transportctl/top_header.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "clients/cpp/transportctl/figures.h"
#include "clients/cpp/transportctl/plot.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

constexpr int kMaxSparklineWidth = 60;
constexpr int kMaxBarWidth = 30;
constexpr double kDay = 86400;

Tone ToneOfUse(double fraction) {
  return fraction >= 0.9 ? Tone::kBad : fraction >= 0.75 ? Tone::kWarning : Tone::kGood;
}

double Fraction(double part, double whole) { return whole > 0 ? part / whole : 0; }

// `text` with what there is room for of a bar.
void AddGauge(std::string_view name, std::string_view figures, double fraction, int width, Line& line) {
  const int begin = line.width();
  line.Add(std::string(name) + " ", Tone::kDim).Add(std::string(figures), Tone::kStrong);
  const int room = std::min(begin + width - 2 - line.width(), kMaxBarWidth);
  if (room >= 3) line.Add(" ").Add(Bar(fraction, room - 1), ToneOfUse(fraction));
  line.PadTo(begin + width);
}

Line TitleLine(const StatusHistory& history, const TopConnection& connection, bool paused, int width) {
  const v1::GetStatusResponse& status = history.status();
  const std::string& instance = status.instance_target();
  Line line;
  line.Add("transportd ", Tone::kStrong).Add(ScreenText(status.version().version()), Tone::kStrong);
  line.Add("  up ", Tone::kDim).Add(AgeText(Seconds(status.version().uptime())));
  line.Add("  ").Add(ScreenText(instance.empty() ? connection.target : instance));
  if (status.has_drain_time_left()) {
    line.Add("  ").Add(StrCat("draining: ", AgeText(Seconds(status.drain_time_left())), " left"), Tone::kWarning);
  }
  if (paused) line.Add("  ").Add("paused", Tone::kWarning);
  const std::string time = TimeOfDayText(status.time());
  const int time_column = width - TextWidth(time);
  if (line.width() + 1 < time_column) line.PadTo(time_column).Add(time, Tone::kDim);
  return line;
}

Line UsageLine(const v1::ServiceUsage& usage, int width) {
  Line line;
  const int each = width / 3;
  AddGauge("sessions", StrCat(usage.session_count(), "/", usage.max_session_count()),
           Fraction(usage.session_count(), usage.max_session_count()), each, line);
  AddGauge("transports", StrCat(usage.transport_count(), "/", usage.max_transport_count()),
           Fraction(usage.transport_count(), usage.max_transport_count()), each, line);
  const auto held = static_cast<double>(usage.buffered_bytes());
  const auto limit = static_cast<double>(usage.max_buffered_bytes());
  AddGauge("buffers", StrCat(BytesText(held), "/", BytesText(limit)), Fraction(held, limit), width - 2 * each, line);
  return line;
}

Line TrafficLine(const StatusHistory& history, int width) {
  const Rate rate = history.total_rate();
  // `out 1023K/s `
  constexpr int kTextWidth = 12;
  const int half = width / 2;
  const int plot = std::clamp(half - kTextWidth - 1, 0, kMaxSparklineWidth);
  Line line;
  line.Add("in  ", Tone::kDim).Add(Fit(StrCat(BytesText(rate.received), "/s"), 8), Tone::kStrong);
  line.Add(Sparkline(history.ReceivedMinute(plot)), Tone::kGood).PadTo(half);
  line.Add("out ", Tone::kDim).Add(Fit(StrCat(BytesText(rate.sent), "/s"), 8), Tone::kStrong);
  line.Add(Sparkline(history.SentMinute(plot)), Tone::kGood);
  return line;
}

// Each loop, if there is room; else how they are together, and the busiest.
Line LoopLine(const StatusHistory& history, int width) {
  const auto& loops = history.status().event_loops();
  Line each;
  each.Add("loops ", Tone::kDim);
  double sum = 0;
  int busiest = 0;
  for (int i = 0; i < loops.size(); ++i) {
    const double busy = history.BusyFractionOf(i);
    sum += busy;
    if (busy > history.BusyFractionOf(busiest)) busiest = i;
    if (i > 0) each.Add("  ");
    each.Add(StrCat(i, ": "), Tone::kDim).Add(PercentText(busy), ToneOfUse(busy));
    each.Add(StrCat(" lag ", LagText(Seconds(loops[i].longest_turn()))));
  }
  if (each.width() <= width || loops.empty()) return each;
  Line line;
  line.Add("loops ", Tone::kDim).Add(StrCat(loops.size(), ", ", PercentText(sum / loops.size()), " busy; busiest "));
  line.Add(StrCat(busiest, ": "), Tone::kDim);
  line.Add(PercentText(history.BusyFractionOf(busiest)), ToneOfUse(history.BusyFractionOf(busiest)));
  const auto slowest = std::max_element(loops.begin(), loops.end(), [](const auto& a, const auto& b) {
    return Seconds(a.longest_turn()) < Seconds(b.longest_turn());
  });
  line.Add(StrCat("; longest lag ", slowest - loops.begin(), ": ", LagText(Seconds(slowest->longest_turn()))));
  return line;
}

Line ProcessLine(const StatusHistory& history) {
  const v1::ProcessStatus& process = history.status().process();
  const double fds = Fraction(process.open_fd_count(), static_cast<double>(process.max_fd_count()));
  Line line;
  line.Add("memory ", Tone::kDim).Add(BytesText(static_cast<double>(process.resident_bytes())), Tone::kStrong);
  line.Add("  cpu ", Tone::kDim).Add(PercentText(history.processor_fraction()), Tone::kStrong);
  line.Add("  fds ", Tone::kDim).Add(StrCat(process.open_fd_count()), Tone::kStrong);
  line.Add(StrCat("/", process.max_fd_count()), fds >= 0.75 ? ToneOfUse(fds) : Tone::kPlain);
  line.Add("  programs ", Tone::kDim).Add(StrCat(process.subprocess_count()), Tone::kStrong);
  return line;
}

Line PolicyLine(const v1::GetStatusResponse& status) {
  Line line;
  line.Add("policy ", Tone::kDim);
  if (!status.has_policy()) return line.Add("none: --dev, everybody may do everything", Tone::kWarning);
  const v1::PolicyStatus& policy = status.policy();
  line.Add(ScreenText(policy.sha256().substr(0, 8)), Tone::kStrong);
  if (!policy.version().empty()) line.Add(" ").Add(ScreenText(policy.version()));
  line.Add(StrCat(" for ", AgeText(Seconds(status.time()) - Seconds(policy.load_time()))));
  if (!policy.shadow_sha256().empty()) line.Add(StrCat(", shadow ", ScreenText(policy.shadow_sha256().substr(0, 8))));
  if (!policy.error().empty()) line.Add(StrCat("  not reloaded: ", ScreenText(policy.error())), Tone::kBad);
  return line;
}

Line CertificateAndAuditLine(const v1::GetStatusResponse& status) {
  Line line;
  const auto& certificates = status.certificates();
  const auto nearest = std::min_element(certificates.begin(), certificates.end(), [](const auto& a, const auto& b) {
    return Seconds(a.not_after()) < Seconds(b.not_after());
  });
  line.Add("certificate ", Tone::kDim);
  if (nearest == certificates.end()) {
    line.Add("none");
  } else {
    const double left = Seconds(nearest->not_after()) - Seconds(status.time());
    const Tone tone = left <= 0 ? Tone::kBad : left < 7 * kDay ? Tone::kWarning : Tone::kGood;
    line.Add(Fit(ScreenText(nearest->name()), std::min(TextWidth(ScreenText(nearest->name())), 24))).Add(" ");
    line.Add(left <= 0 ? "has expired" : StrCat("ends in ", AgeText(left)), tone);
    line.Add(StrCat(" (", DateText(nearest->not_after()), ")"));
  }
  if (!status.has_audit()) return line;
  const v1::AuditStatus& audit = status.audit();
  line.Add("  audit ", Tone::kDim);
  line.Add(audit.healthy() ? "ok" : "cannot be written", audit.healthy() ? Tone::kGood : Tone::kBad);
  if (audit.queued_count() > 0) line.Add(StrCat(", ", audit.queued_count(), " waiting"));
  if (audit.lost_count() > 0) line.Add(StrCat(", ", audit.lost_count(), " lost"), Tone::kBad);
  return line;
}

}  // namespace

std::vector<Line> TopHeader(const StatusHistory& history, const TopConnection& connection, bool paused, int width) {
  std::vector<Line> lines = {TitleLine(history, connection, paused, width)};
  if (!connection.trouble.empty()) {
    lines.emplace_back(
        StrCat("No answer for ", AgeText(connection.silent_seconds), ", trying on: ", ScreenText(connection.trouble)),
        Tone::kBad);
  }
  lines.push_back(UsageLine(history.status().usage(), width));
  lines.push_back(TrafficLine(history, width));
  lines.push_back(LoopLine(history, width));
  lines.push_back(ProcessLine(history));
  lines.push_back(PolicyLine(history.status()));
  lines.push_back(CertificateAndAuditLine(history.status()));
  for (Line& line : lines) line = line.CutTo(width);
  return lines;
}

}  // namespace transportd::ctl
