// The service's log as JSON Lines, for programs that gather logs.
#ifndef TRANSPORTD_SERVER_OPS_JSON_LOG_H_
#define TRANSPORTD_SERVER_OPS_JSON_LOG_H_

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "transports/base/logging.h"

namespace transportd {

// {"time":"2026-01-31T23:59:59.123456Z","level":"info","message":"…"} and the fields behind, by their names; one line,
// with its end. Any thread.
std::string ToJsonLine(std::chrono::system_clock::time_point time, LogLevel level, std::string_view message,
                       std::span<const LogField> fields);

// To standard error, a line with one write(2). Threading: any thread.
class JsonLog final : public LogSink {
 public:
  void Write(LogLevel level, std::string_view message, std::span<const LogField> fields) override;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_JSON_LOG_H_
