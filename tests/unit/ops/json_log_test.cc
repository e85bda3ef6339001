#include "server/ops/json_log.h"

#include <chrono>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace transportd {
namespace {

constexpr std::chrono::system_clock::time_point kTime{std::chrono::microseconds(1'700'000'000'123'456)};

TEST(JsonLog, ALineHasTimeLevelMessageAndFields) {
  const std::vector<LogField> fields = {{"session", "0123abcd"}, {"trace_id", ""}, {"principal", "a\"b"}};
  EXPECT_EQ(ToJsonLine(kTime, LogLevel::kWarning, "a\nb", fields),
            "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"warning\",\"message\":\"a\\u000ab\","
            "\"session\":\"0123abcd\",\"principal\":\"a\\\"b\"}\n");
}

TEST(JsonLog, ALineIsWrittenByOneCall) {
  const std::vector<LogField> fields(4, {"field", "\x01"});
  EXPECT_LE(ToJsonLine(kTime, LogLevel::kInfo, std::string(100'000, '\xff'), fields).size(), 4096u);
}

}  // namespace
}  // namespace transportd
