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
  void Write(LogLevel level, std::string_view message) override { lines.emplace_back(level, message); }

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
