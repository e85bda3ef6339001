#include "clients/cpp/transportctl/json.h"

#include "gtest/gtest.h"

namespace transportd::ctl {
namespace {

TEST(Json, StringsAreEscaped) {
  EXPECT_EQ(JsonString("a\"b\\c\n\x01"), "\"a\\\"b\\\\c\\u000a\\u0001\"");
  EXPECT_EQ(JsonString("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

TEST(Json, BytesThatAreNotUtf8AreReplaced) {
  // Alone, cut off, overlong, a surrogate, beyond the last character.
  EXPECT_EQ(JsonString("\xff"), "\"\\ufffd\"");
  EXPECT_EQ(JsonString("\xe2\x82"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(JsonString("\xc0\x80"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(JsonString("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
  EXPECT_EQ(JsonString("\xf5\x80\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

TEST(Json, ObjectsKeepTheirOrder) {
  EXPECT_EQ(JsonObject().ToString(), "{}");
  EXPECT_EQ(JsonObject()
                .Add("z", "text")
                .Add("a", uint64_t{18446744073709551615u})
                .Add("b", true)
                .AddRaw("c", "null")
                .ToString(),
            "{\"z\":\"text\",\"a\":18446744073709551615,\"b\":true,\"c\":null}");
}

TEST(Json, Base64HasPadding) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64(std::string("\0\xff\x10", 3)), "AP8Q");
}

}  // namespace
}  // namespace transportd::ctl
