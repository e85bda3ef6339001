#include "transports/base/logging.h"

#include <cerrno>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace transportd {
namespace {

class RecordingSink final : public LogSink {
 public:
  RecordingSink() : before_(SetLogSink(this)) {}
  ~RecordingSink() override {
    SetLogSink(before_);
    SetMinLogLevel(LogLevel::kInfo);
  }
  void Write(LogLevel level, std::string_view message, std::span<const LogField> fields) override {
    std::string line(message);
    for (const LogField& field : fields) line += StrCat(" ", field.name, "=", field.text);
    lines.emplace_back(level, std::move(line));
  }

  std::vector<std::pair<LogLevel, std::string>> lines;

 private:
  LogSink* before_;
};

TEST(Logging, SinkGetsLevelAndJoinedParts) {
  RecordingSink sink;
  LogWarning("fd ", 7, std::string_view(" is odd"));
  ASSERT_EQ(sink.lines.size(), 1u);
  EXPECT_EQ(sink.lines[0], std::pair(LogLevel::kWarning, std::string("fd 7 is odd")));
}

TEST(Logging, FieldsComeBehindTheMessage) {
  RecordingSink sink;
  Log(LogLevel::kInfo, "opened", {{"session", "0123abcd"}, {"principal", "a"}});
  ASSERT_EQ(sink.lines.size(), 1u);
  EXPECT_EQ(sink.lines[0].second, "opened session=0123abcd principal=a");
}

TEST(Logging, AFieldCannotBreakTheLine) {
  testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "opened", {{"principal", "a\nb\x1b[2J"}, {"empty", ""}});
  const std::string line = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(line.ends_with(" I opened principal=a\\x0ab\\x1b[2J\n")) << line;
}

TEST(Logging, LowerLevelsAreDropped) {
  RecordingSink sink;
  LogDebug("dropped");
  SetMinLogLevel(LogLevel::kError);
  LogWarning("dropped");
  LogError("kept");
  ASSERT_EQ(sink.lines.size(), 1u);
  EXPECT_EQ(sink.lines[0].second, "kept");
}

TEST(Logging, WithoutASinkOneStampedLineGoesToStandardError) {
  testing::internal::CaptureStderr();
  errno = ENOENT;
  LogInfo("hello");
  EXPECT_EQ(errno, ENOENT);
  const std::string line = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(testing::internal::RE::FullMatch(line, "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+Z I hello\n"))
      << line;
}

}  // namespace
}  // namespace transportd
