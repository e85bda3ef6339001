// Lines for the operator, to standard error or to a sink of the program's choice.
#ifndef TRANSPORTD_TRANSPORTS_BASE_LOGGING_H_
#define TRANSPORTD_TRANSPORTS_BASE_LOGGING_H_

#include <initializer_list>
#include <span>
#include <string_view>

#include "transports/base/str_cat.h"

namespace transportd {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// What a message is about, for programs that read it: `session`, `transport`, `principal`, `trace_id`. Threading: a
// value, for the time of a call.
struct LogField {
  std::string_view name;
  std::string_view text;  // Empty: left out.
};

// Threading: any thread.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // One message, without a line end. Called by several threads at once; must not log.
  virtual void Write(LogLevel level, std::string_view message, std::span<const LogField> fields) = 0;
};

// All of it, in one write(2) where the kernel takes it. For sinks. Any thread.
void WriteLineToStandardError(std::string_view line);

// Replaces the sink, which must outlive every thread that logs; null: standard error, with time and level. Returns
// the one before, null for standard error. Any thread.
LogSink* SetLogSink(LogSink* sink);

// What is less than `level` is dropped. kInfo at first. Any thread.
void SetMinLogLevel(LogLevel level);

bool LogEnabled(LogLevel level);
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

// The parts are joined as by StrCat, and only when the level is enabled.
template <typename... Parts>
void LogDebug(const Parts&... parts) {
  if (LogEnabled(LogLevel::kDebug)) Log(LogLevel::kDebug, StrCat(parts...));
}
template <typename... Parts>
void LogInfo(const Parts&... parts) {
  if (LogEnabled(LogLevel::kInfo)) Log(LogLevel::kInfo, StrCat(parts...));
}
template <typename... Parts>
void LogWarning(const Parts&... parts) {
  if (LogEnabled(LogLevel::kWarning)) Log(LogLevel::kWarning, StrCat(parts...));
}
template <typename... Parts>
void LogError(const Parts&... parts) {
  if (LogEnabled(LogLevel::kError)) Log(LogLevel::kError, StrCat(parts...));
}

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_LOGGING_H_
