#include "transports/base/str_cat.h"

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(StrCat, JoinsEveryKindOfTextAndNumbers) {
  EXPECT_EQ(
      StrCat("a", std::string("b"), std::string_view("c"), absl::string_view("d"), -1, uint64_t{18446744073709551615u}),
      "abcd-118446744073709551615");
  EXPECT_EQ(StrCat(std::string_view("x\0y", 3)), std::string("x\0y", 3));
}

}  // namespace
}  // namespace transportd
