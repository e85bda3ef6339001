#include "server/policy/identities_file.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kHash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

std::string IdentitiesErrorOf(std::string_view text) {
  const auto identities = ReadIdentities(StrCat("version: \"v1\"\n", text), "who.txtpb");
  EXPECT_THAT(identities, StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  return std::string(identities.status().message());
}

std::string TokenText(std::string_view principal, std::string_view more = "") {
  return StrCat("token { principal: \"", principal, "\" sha256: \"", kHash, "\" ", more, " }\n");
}

std::string JwtText(std::string_view issuer, std::string_view prefix) {
  return StrCat("jwt { issuer: \"", issuer, "\" audiences: \"a\" jwks_file: \"/k\" principal_prefix: \"", prefix,
                "\" }\n");
}

TEST(IdentitiesFile, AGoodFileIsRead) {
  const auto identities = ReadIdentities(
      StrCat("version: \"v1\"\n", TokenText("ci", "not_after { seconds: 1 }"), JwtText("https://issuer", "k8s:"),
             JwtText("second", "k8t:"), "certificates { trust_domains: [\"example.org\", \"b\"] dns_names: true }"),
      "who.txtpb");
  ASSERT_THAT(identities, IsOk());
  EXPECT_EQ(identities->token(0).principal(), "ci");
  EXPECT_EQ(identities->jwt_size(), 2);
  EXPECT_TRUE(identities->certificates().dns_names());
  EXPECT_THAT(ReadIdentities("version: \"v1\"", "who.txtpb"), IsOk());
  EXPECT_THAT(ReadIdentities(StrCat(R"({"version": "v1", "token": [{"principal": "ci", "sha256": ")", kHash, R"("}]})"),
                             "who.json"),
              IsOk());
}

TEST(IdentitiesFile, TheVersionMustBeThere) {
  for (const char* text : {"certificates {}", "version: \"v2\""}) {
    EXPECT_EQ(std::string(ReadIdentities(text, "f").status().message()), "f: version: must be \"v1\"");
  }
}

TEST(IdentitiesFile, SyntaxErrorsSayWhere) { EXPECT_THAT(IdentitiesErrorOf("tokens { }"), StartsWith("who.txtpb:2:")); }

TEST(IdentitiesFile, TokensAreChecked) {
  EXPECT_EQ(IdentitiesErrorOf(StrCat(TokenText("a"), "token { principal: \"b\" sha256: \"abc\" }")),
            "who.txtpb: token[1].sha256: must be 64 hexadecimal digits: the SHA-256 of the token");
  EXPECT_EQ(IdentitiesErrorOf(StrCat(TokenText("a"), TokenText("b"))), "who.txtpb: token[1].sha256: is there twice");
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("\u00e9"), std::string("\\n"), std::string(257, 'a')}) {
    EXPECT_THAT(IdentitiesErrorOf(TokenText(bad)), HasSubstr("token[0].principal: must be 1 to 256 printable ASCII"));
  }
  for (const char* bad : {"nanos: -1", "nanos: 1000000000", "seconds: 253402300800", "seconds: -62135596801"}) {
    EXPECT_THAT(IdentitiesErrorOf(TokenText("a", StrCat("not_after { ", bad, " }"))),
                HasSubstr("token[0].not_after: "));
  }
}

TEST(IdentitiesFile, IssuersAreChecked) {
  EXPECT_THAT(IdentitiesErrorOf(JwtText("", "a:")), HasSubstr("jwt[0].issuer: must not be empty"));
  EXPECT_THAT(IdentitiesErrorOf(StrCat(JwtText("i", "a:"), JwtText("i", "b:"))),
              HasSubstr("jwt[1].issuer: is there twice"));
  EXPECT_THAT(IdentitiesErrorOf("jwt { issuer: \"i\" jwks_file: \"/k\" principal_prefix: \"a:\" }"),
              HasSubstr("audiences: must have at least one"));
  EXPECT_THAT(
      IdentitiesErrorOf("jwt { issuer: \"i\" audiences: [\"a\", \"\"] jwks_file: \"/k\" principal_prefix: \"a:\" }"),
      HasSubstr("audiences: must not be empty"));
  EXPECT_THAT(IdentitiesErrorOf("jwt { issuer: \"i\" audiences: \"a\" principal_prefix: \"a:\" }"),
              HasSubstr("jwks_file: must be the path"));
}

TEST(IdentitiesFile, PrefixesAreApart) {
  const std::string long_prefix = StrCat(std::string(64, 'a'), ":");
  for (const std::string_view bad : {"", "a", "a b:", long_prefix.c_str()}) {
    EXPECT_THAT(IdentitiesErrorOf(JwtText("i", bad)), HasSubstr("principal_prefix: must be 1 to 64"));
  }
  EXPECT_THAT(IdentitiesErrorOf(StrCat(JwtText("i", "a:"), JwtText("j", "a:"))),
              HasSubstr("jwt[1].principal_prefix: must not begin with `a:`"));
  EXPECT_THAT(IdentitiesErrorOf(StrCat(JwtText("i", "a:"), JwtText("j", "a:b:"))),
              HasSubstr("must not begin with `a:`"));
  EXPECT_THAT(IdentitiesErrorOf(StrCat(JwtText("i", "a:b:"), JwtText("j", "a:"))),
              HasSubstr("must not begin with `a:`"));
  for (const char* bad : {"spiffe:", "spiffe://example.org/a:", "dns:"}) {
    EXPECT_THAT(IdentitiesErrorOf(JwtText("i", bad)), HasSubstr("certificates' principals"));
  }
}

TEST(IdentitiesFile, TrustDomainsAreChecked) {
  for (const std::string& bad :
       {std::string(), std::string("spiffe://a"), std::string("A"), std::string("a/"), std::string(256, 'a')}) {
    EXPECT_THAT(IdentitiesErrorOf(StrCat("certificates { trust_domains: \"", bad, "\" }")),
                HasSubstr("certificates.trust_domains[0]: must be"));
  }
  EXPECT_THAT(IdentitiesErrorOf("certificates { trust_domains: [\"a\", \"a\"] }"),
              HasSubstr("trust_domains[1]: is there twice"));
}

}  // namespace
}  // namespace transportd
