#include "clients/cpp/transportctl/new_token.h"

#include <openssl/evp.h>

#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd::ctl {
namespace {

TEST(NewToken, Is256RandomBitsThatNeedNoEscaping) {
  const NewToken made = MakeToken();
  EXPECT_EQ(made.token.substr(0, 11), "transportd_");
  EXPECT_EQ(made.token.size(), 11u + 43u);
  EXPECT_EQ(made.token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  EXPECT_NE(MakeToken().token, made.token);
}

TEST(NewToken, ItsHashIsOfTheWholeToken) {
  const NewToken made = MakeToken();
  unsigned char hash[32];
  ASSERT_EQ(EVP_Digest(made.token.data(), made.token.size(), hash, nullptr, EVP_sha256(), nullptr), 1);
  EXPECT_EQ(made.sha256, absl::BytesToHexString(std::string(reinterpret_cast<char*>(hash), sizeof(hash))));
}

TEST(NewToken, TheEntryIsTextproto) {
  EXPECT_EQ(TokenEntry("ci", "00ff"), "token { principal: \"ci\" sha256: \"00ff\" }");
  EXPECT_EQ(TokenEntry("a\"b\\c", "0"), "token { principal: \"a\\\"b\\\\c\" sha256: \"0\" }");
}

TEST(NewToken, PrincipalsAreThoseOfTheService) {
  EXPECT_TRUE(IsPrincipalName("spiffe://example.org/ci"));
  EXPECT_TRUE(IsPrincipalName(std::string(256, 'a')));
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\n"), std::string("\u00e9"), std::string(257, 'a')}) {
    EXPECT_FALSE(IsPrincipalName(bad)) << bad;
  }
}

}  // namespace
}  // namespace transportd::ctl
