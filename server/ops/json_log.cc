#include "server/ops/json_log.h"

#include "absl/time/time.h"
#include "server/policy/json_string.h"

namespace transportd {
namespace {

// A line is written at once, as pipes do with no more than PIPE_BUF (pipe(7)) when several write.
constexpr size_t kMaxMessageBytes = 2048;
constexpr size_t kMaxFieldBytes = 256;

std::string_view NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "";
}

}  // namespace

std::string ToJsonLine(std::chrono::system_clock::time_point time, LogLevel level, std::string_view message,
                       std::span<const LogField> fields) {
  std::string line = "{\"time\":\"";
  line += absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromChrono(time), absl::UTCTimeZone());
  line += "\",\"level\":\"";
  line += NameOf(level);
  line += "\",\"message\":";
  AppendJsonString(message, kMaxMessageBytes, line);
  for (const LogField& field : fields) {
    if (field.text.empty()) continue;
    line += ',';
    AppendJsonString(field.name, kMaxFieldBytes, line);
    line += ':';
    AppendJsonString(field.text, kMaxFieldBytes, line);
  }
  line += "}\n";
  return line;
}

void JsonLog::Write(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  WriteLineToStandardError(ToJsonLine(std::chrono::system_clock::now(), level, message, fields));
}

}  // namespace transportd
