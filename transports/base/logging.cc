#include "transports/base/logging.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string>

#include "transports/base/str_cat.h"

namespace transportd {
namespace {

std::atomic<LogLevel> min_level{LogLevel::kInfo};
std::atomic<LogSink*> current_sink{nullptr};

char LevelLetter(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return 'D';
    case LogLevel::kInfo:
      return 'I';
    case LogLevel::kWarning:
      return 'W';
    case LogLevel::kError:
      return 'E';
  }
  return '?';
}

// What would break a line, or steer a terminal, as \\xHH.
void AppendPrintable(std::string_view text, std::string& out) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
      out += escaped;
    }
  }
}

// `2026-01-31T23:59:59.123456Z W message session=0123abcd`.
void WriteToStandardError(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char seconds[32];
  size_t seconds_size = std::strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &parts);
  char rest[16];
  std::snprintf(rest, sizeof(rest), ".%06dZ %c ", static_cast<int>(now.tv_nsec / 1000), LevelLetter(level));
  std::string line = StrCat(std::string_view(seconds, seconds_size), rest, message);
  for (const LogField& field : fields) {
    if (field.text.empty()) continue;
    line += StrCat(" ", field.name, "=");
    AppendPrintable(field.text, line);
  }
  line += '\n';
  WriteLineToStandardError(line);
}

}  // namespace

// One write(2) a line, so that lines of several threads do not mix.
void WriteLineToStandardError(std::string_view left) {
  while (!left.empty()) {
    ssize_t written = ::write(STDERR_FILENO, left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // Nowhere to report that there is nowhere to report to.
    left.remove_prefix(static_cast<size_t>(written));
  }
}

LogSink* SetLogSink(LogSink* sink) { return current_sink.exchange(sink); }

void SetMinLogLevel(LogLevel level) { min_level.store(level, std::memory_order_relaxed); }

bool LogEnabled(LogLevel level) { return level >= min_level.load(std::memory_order_relaxed); }

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  int saved_errno = errno;
  if (LogSink* sink = current_sink.load(); sink != nullptr) {
    sink->Write(level, message, fields);
  } else {
    WriteToStandardError(level, message, fields);
  }
  errno = saved_errno;
}

}  // namespace transportd
