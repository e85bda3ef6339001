#include "clients/cpp/transportctl/printable.h"

#include "gtest/gtest.h"
#include "transports/api/address.h"

namespace transportd::ctl {
namespace {

TEST(Printable, TextStays) {
  for (const std::string_view text : {"", "a b ~", "größe 名 \U0001f600", R"(a\b\x1b "c" 'd')"}) {
    EXPECT_EQ(Printable(text), text);
  }
}

TEST(Printable, ControlCharactersAreEscaped) {
  EXPECT_EQ(Printable("a\x1b[31m\n\r\t\x7f"), R"(a\x1b[31m\n\r\t\x7f)");
  EXPECT_EQ(Printable({"\0", 1}), R"(\x00)");
  // CSI in one character, and what ends a line elsewhere.
  EXPECT_EQ(Printable("\u009b31m\u2028\u2029"), R"(\xc2\x9b31m\xe2\x80\xa8\xe2\x80\xa9)");
}

TEST(Printable, BytesThatAreNoUtf8AreEscaped) {
  EXPECT_EQ(Printable("\x9b\xff ok"), R"(\x9b\xff ok)");
  EXPECT_EQ(Printable("\xc3"), R"(\xc3)");
  EXPECT_EQ(Printable("\xe2\x82x"), R"(\xe2\x82x)");
}

TEST(Printable, UnixPathsAreEscapedTheSameWay) {
  const std::string path = "/\x1b\n";
  const SocketAddress address = {.family = AddressFamily::kUnix, .path = path};
  EXPECT_EQ(Printable(path), address.ToString());
  EXPECT_EQ(Printable(address.ToString()), address.ToString());
}

}  // namespace
}  // namespace transportd::ctl
