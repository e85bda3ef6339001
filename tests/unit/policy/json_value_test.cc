#include "server/policy/json_value.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

std::string JsonValueErrorOf(std::string_view text) {
  const auto value = ParseJson(text);
  EXPECT_FALSE(value.ok()) << text;
  return std::string(value.status().message());
}

TEST(JsonValue, EveryKindIsRead) {
  const auto value = ParseJson(" {\"a\": [null, true, false, -0.5e+10, \"x\"],\r\n\t\"b\": {}, \"\": []} ");
  ASSERT_THAT(value, IsOk());
  const JsonValue* const a = value->Find("a");
  ASSERT_NE(a, nullptr);
  ASSERT_EQ(a->elements.size(), 5u);
  EXPECT_EQ(a->elements[0].kind, JsonValue::Kind::kNull);
  EXPECT_EQ(a->elements[1].kind, JsonValue::Kind::kTrue);
  EXPECT_EQ(a->elements[2].kind, JsonValue::Kind::kFalse);
  EXPECT_EQ(a->elements[3].kind, JsonValue::Kind::kNumber);
  EXPECT_EQ(a->elements[3].text, "-0.5e+10");
  EXPECT_EQ(a->elements[4].text, "x");
  EXPECT_EQ(value->Find("b")->kind, JsonValue::Kind::kObject);
  EXPECT_EQ(value->Find("")->kind, JsonValue::Kind::kArray);
  EXPECT_EQ(value->Find("c"), nullptr);
  EXPECT_EQ(value->offset_bytes, 1u);
}

TEST(JsonValue, EscapesMeanCharacters) {
  const auto value = ParseJson(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00\u0000")");
  ASSERT_THAT(value, IsOk());
  EXPECT_EQ(value->text, std::string("\"\\/\b\f\n\r\tA\u00e9\u20ac\U0001f600\0", 19));
}

TEST(JsonValue, NumbersAreAsRfc8259HasThem) {
  for (const char* good : {"0", "-0", "10", "1.0", "1e5", "1E-5", "0.0e+0"})
    EXPECT_THAT(ParseJson(good), IsOk()) << good;
  for (const char* bad : {"01", "+1", ".5", "1.", "1e", "1e+", "-", "0x1", "NaN", "Infinity", "--1"})
    JsonValueErrorOf(bad);
}

TEST(JsonValue, WhatIsNoJsonIsRefused) {
  for (const char* bad : {"",
                          " ",
                          "nul",
                          "nulll",
                          "tru",
                          "[1,]",
                          "[,1]",
                          "[1 2]",
                          "[",
                          "{",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":1,}",
                          "{1:1}",
                          "\"",
                          "\"\\x\"",
                          "\"\\u12\"",
                          "\"\n\"",
                          "\"\x01\"",
                          "\"\xff\"",
                          "\"\\ud800\"",
                          "\"\\udc00\"",
                          "\"\\ud800\\u0041\"",
                          "1 1",
                          "'a'",
                          "/**/1",
                          "\xef\xbb\xbfnull"}) {
    JsonValueErrorOf(bad);
  }
  EXPECT_FALSE(ParseJson(std::string_view("\0", 1)).ok());
  EXPECT_FALSE(ParseJson(std::string_view("1\0", 2)).ok());
}

TEST(JsonValue, ANameIsThereOnce) {
  EXPECT_EQ(JsonValueErrorOf("{\"a\": 1,\n \"b\": 2, \"\\u0061\": 3}"), "2:10: `a` is there twice");
  EXPECT_THAT(ParseJson(R"([{"a": 1}, {"a": {"a": 1}}])"), IsOk());
}

TEST(JsonValue, DepthHasABound) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_THAT(ParseJson(nested(32)), IsOk());
  EXPECT_EQ(JsonValueErrorOf(nested(33)), "1:33: at most 32 values may be inside each other");
}

}  // namespace
}  // namespace transportd
