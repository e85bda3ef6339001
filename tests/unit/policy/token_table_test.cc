#include "server/policy/token_table.h"

#include <string>

#include "gtest/gtest.h"
#include "server/policy/base64url.h"

namespace transportd {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

// Of "abc", FIPS 180-2, appendix B.1; of "".
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kAbcUpper[] = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

v1::Identities Tokens() {
  v1::Identities identities;
  v1::Token& first = *identities.add_token();
  first.set_principal("ci");
  first.set_sha256(kAbc);
  first.mutable_not_after()->set_seconds(1000);
  first.mutable_not_after()->set_nanos(500'000'000);
  v1::Token& second = *identities.add_token();
  second.set_principal("ci");
  second.set_sha256(kEmpty);
  return identities;
}

TEST(TokenTable, ATokenIsKnownByItsHash) {
  const TokenTable table(Tokens().token());
  const auto owner = table.Find("abc", system_clock::time_point(seconds(1)));
  ASSERT_TRUE(owner.has_value());
  EXPECT_EQ(owner->principal, "ci");
  EXPECT_EQ(owner->hash_prefix, "ba7816bf");
  EXPECT_FALSE(table.Find("abd", system_clock::time_point(seconds(1))).has_value());
  EXPECT_FALSE(table.Find(kAbc, system_clock::time_point(seconds(1))).has_value());
  EXPECT_FALSE(TokenTable().Find("abc", system_clock::time_point(seconds(1))).has_value());
}

TEST(TokenTable, TwoTokensMayBeOfOnePrincipal) {
  const TokenTable table(Tokens().token());
  EXPECT_EQ(table.Find("", system_clock::time_point(seconds(2000)))->principal, "ci");
  EXPECT_EQ(table.Find("", system_clock::time_point(seconds(2000)))->hash_prefix, "e3b0c442");
}

TEST(TokenTable, ATokenEndsAtNotAfter) {
  const TokenTable table(Tokens().token());
  EXPECT_TRUE(table.Find("abc", system_clock::time_point(seconds(1000))).has_value());
  EXPECT_FALSE(table.Find("abc", system_clock::time_point(seconds(1000) + std::chrono::milliseconds(500))).has_value());
}

TEST(TokenTable, TheYear9999DoesNotOverflow) {
  v1::Identities identities = Tokens();
  identities.mutable_token(0)->mutable_not_after()->set_seconds(253402300799);
  EXPECT_TRUE(TokenTable(identities.token()).Find("abc", system_clock::time_point(seconds(1))).has_value());
  identities.mutable_token(0)->mutable_not_after()->set_seconds(-62135596800);
  EXPECT_FALSE(TokenTable(identities.token()).Find("abc", system_clock::time_point(seconds(1))).has_value());
}

TEST(TokenTable, AHashIs64HexadecimalDigits) {
  EXPECT_EQ(ParseSha256(kAbc), Sha256("abc"));
  EXPECT_EQ(ParseSha256(kAbcUpper), Sha256("abc"));
  const std::string digits = kAbc;
  for (const std::string& bad :
       {std::string(), digits.substr(1), digits + "0", "g" + digits.substr(1), " " + digits.substr(1)}) {
    EXPECT_FALSE(ParseSha256(bad).has_value()) << bad;
  }
}

TEST(Base64Url, IsStrict) {
  EXPECT_EQ(DecodeBase64Url(""), "");
  EXPECT_EQ(DecodeBase64Url("Zg"), "f");
  EXPECT_EQ(DecodeBase64Url("Zm8"), "fo");
  EXPECT_EQ(DecodeBase64Url("Zm9v"), "foo");
  EXPECT_EQ(DecodeBase64Url("-_8"), "\xfb\xff");
  // Padding, the other alphabet, space, lengths that cannot be, bits behind the last byte.
  for (const char* bad : {"Zg==", "+_8", "-/8", "Zm 9v", "Zm9v\n", "Z", "Zm9vZ", "Zh", "Zm9"}) {
    EXPECT_FALSE(DecodeBase64Url(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace transportd
