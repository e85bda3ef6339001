#include "clients/cpp/transportctl/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string_view>

#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

std::string Formatted(const char* format, double number) {
  char text[32];
  std::snprintf(text, sizeof(text), format, number);
  return text;
}

std::string FormattedTime(const google::protobuf::Timestamp& timestamp, const char* format) {
  const std::time_t seconds = timestamp.seconds();
  std::tm utc{};
  char text[32];
  if (gmtime_r(&seconds, &utc) == nullptr) return "?";
  return std::strftime(text, sizeof(text), format, &utc) > 0 ? text : "?";
}

std::string TwoDigits(int64_t number) { return StrCat(number < 10 ? "0" : "", number); }

}  // namespace

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) / 1e9;
}

double Seconds(const google::protobuf::Timestamp& timestamp) {
  return static_cast<double>(timestamp.seconds()) + static_cast<double>(timestamp.nanos()) / 1e9;
}

std::string BytesText(double bytes) {
  constexpr std::string_view kUnits = "KMGTPE";
  if (!(bytes >= 0.5)) return "0";
  if (bytes < 1023.5) return Formatted("%.0f", bytes);
  size_t unit = 0;
  double number = bytes / 1024;
  while (number >= 1023.5 && unit + 1 < kUnits.size()) {
    number /= 1024;
    ++unit;
  }
  return Formatted(number < 9.95 ? "%.1f" : "%.0f", number) + kUnits[unit];
}

std::string AgeText(double seconds) {
  constexpr int64_t kMinute = 60;
  constexpr int64_t kHour = 60 * kMinute;
  constexpr int64_t kDay = 24 * kHour;
  const auto whole = static_cast<int64_t>(std::clamp(seconds, 0.0, 1e15));
  if (whole < kMinute) return StrCat(whole, "s");
  if (whole < kHour) return StrCat(whole / kMinute, "m", TwoDigits(whole % kMinute), "s");
  if (whole < kDay) return StrCat(whole / kHour, "h", TwoDigits(whole % kHour / kMinute), "m");
  if (whole < 100 * kDay) return StrCat(whole / kDay, "d", TwoDigits(whole % kDay / kHour), "h");
  return StrCat(whole / kDay, "d");
}

std::string LagText(double seconds) {
  if (seconds >= 1) return Formatted("%.2fs", seconds);
  const double milliseconds = std::max(seconds, 0.0) * 1000;
  return Formatted(milliseconds < 9.95 ? "%.1fms" : "%.0fms", milliseconds);
}

std::string PercentText(double fraction) { return Formatted("%.0f%%", std::max(fraction, 0.0) * 100); }

std::string TimeText(const google::protobuf::Timestamp& timestamp) {
  return FormattedTime(timestamp, "%Y-%m-%d %H:%M:%SZ");
}
std::string DateText(const google::protobuf::Timestamp& timestamp) { return FormattedTime(timestamp, "%Y-%m-%d"); }
std::string TimeOfDayText(const google::protobuf::Timestamp& timestamp) {
  return FormattedTime(timestamp, "%H:%M:%SZ");
}

}  // namespace transportd::ctl
