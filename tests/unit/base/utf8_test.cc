#include "transports/base/utf8.h"

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(IsUtf8, IsRfc3629) {
  for (const char* good : {"", "a", "\x7f", "\u00e9", "\u20ac", "\U0001f600"}) EXPECT_TRUE(IsUtf8(good)) << good;
  for (const char* bad :
       {"\x80", "\xc3", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "a\xe9z"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
}

TEST(Utf8OrEscaped, EscapesOnlyWhatIsNoUtf8) {
  EXPECT_EQ(Utf8OrEscaped("/tmp/\u00e9"), "/tmp/\u00e9");
  EXPECT_EQ(Utf8OrEscaped("/tmp/\xe9"), "/tmp/\\351");
}

}  // namespace
}  // namespace transportd
