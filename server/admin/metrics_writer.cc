#include "server/admin/metrics_writer.h"

#include <charconv>

#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr std::string_view kPrefix = "transportd_";
constexpr std::string_view kProcess = "process_";

// Shortest, so that 0.005 is written so.
std::string Text(double value) {
  char buffer[400];  // Of the largest number, too.
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
  return {buffer, result.ptr};
}

void AppendEscaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

}  // namespace

void MetricsWriter::Begin(std::string_view name, std::string_view help, std::string_view type) {
  std::string full = name.starts_with(kProcess) ? std::string(name) : StrCat(kPrefix, name);
  if (full == name_) return;
  name_ = std::move(full);
  text_ += StrCat("# HELP ", name_, " ", help, "\n# TYPE ", name_, " ", type, "\n");
}

void MetricsWriter::Sample(uint64_t value, Labels labels) { Line("", labels, "", StrCat(value)); }

void MetricsWriter::Sample(double value, Labels labels) { Line("", labels, "", Text(value)); }

void MetricsWriter::WriteHistogram(std::string_view name, std::string_view help, std::span<const uint64_t> bounds,
                                   std::span<const uint64_t> counts, uint64_t sum, double unit, Labels labels) {
  Begin(name, help, "histogram");
  uint64_t count = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    count += counts[i];
    Line("_bucket", labels, i < bounds.size() ? Text(static_cast<double>(bounds[i]) / unit) : "+Inf", StrCat(count));
  }
  Line("_sum", labels, "", Text(static_cast<double>(sum) / unit));
  Line("_count", labels, "", StrCat(count));
}

void MetricsWriter::Line(std::string_view suffix, Labels labels, std::string_view le, std::string_view value) {
  text_ += StrCat(name_, suffix);
  std::string_view separator = "{";
  const auto append = [&](std::string_view label, std::string_view label_value) {
    text_ += StrCat(separator, label, "=\"");
    AppendEscaped(label_value, text_);
    text_ += '"';
    separator = ",";
  };
  for (const auto& [label, label_value] : labels) append(label, label_value);
  if (!le.empty()) append("le", le);
  if (separator == ",") text_ += '}';
  text_ += StrCat(" ", value, "\n");
}

}  // namespace transportd
