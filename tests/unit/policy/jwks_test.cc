#include "server/policy/jwks.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_jwt.h"

namespace transportd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string JwksErrorOf(const std::string& text) {
  const auto set = JwkSet::Parse(text);
  EXPECT_FALSE(set.ok()) << text;
  return std::string(set.status().message());
}

std::string Replaced(std::string text, std::string_view what, std::string_view with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(JwkSet, KeysAreFoundByAlgorithmAndKid) {
  const TestJwtKey rsa = TestJwtKey::Rsa();
  const TestJwtKey ec = TestJwtKey::P256();
  const auto set = JwkSet::Parse(TestJwkSet({rsa.Jwk("a", R"(,"use":"sig","alg":"RS256")"), ec.Jwk("a"),
                                             ec.Jwk("", R"(,"key_ops":["verify"],"x5t":"ignored")")}));
  ASSERT_THAT(set, IsOk());
  EXPECT_NE(set->Find(JwtAlgorithm::kRs256, "a"), nullptr);
  EXPECT_NE(set->Find(JwtAlgorithm::kEs256, "a"), nullptr);
  EXPECT_NE(set->Find(JwtAlgorithm::kRs256, "a"), set->Find(JwtAlgorithm::kEs256, "a"));
  EXPECT_EQ(set->Find(JwtAlgorithm::kRs256, "b"), nullptr);
  EXPECT_EQ(set->Find(JwtAlgorithm::kRs256, ""), nullptr);
  EXPECT_EQ(set->Find(JwtAlgorithm::kEs256, ""), nullptr);
}

TEST(JwkSet, WithoutAKidTheKeyMustBeTheOnlyOne) {
  const TestJwtKey rsa = TestJwtKey::Rsa();
  const TestJwtKey ec = TestJwtKey::P256();
  const auto set = JwkSet::Parse(TestJwkSet({rsa.Jwk("a"), ec.Jwk("b"), TestJwtKey::P256().Jwk("c")}));
  ASSERT_THAT(set, IsOk());
  EXPECT_NE(set->Find(JwtAlgorithm::kRs256, {}), nullptr);
  EXPECT_EQ(set->Find(JwtAlgorithm::kEs256, {}), nullptr);
}

TEST(JwkSet, KeysForSomethingElseArePassedOver) {
  const TestJwtKey rsa = TestJwtKey::Rsa();
  const TestJwtKey ec = TestJwtKey::P256();
  for (const std::string& other :
       {rsa.Jwk("a", R"(,"use":"enc")"), rsa.Jwk("a", R"(,"alg":"RS512")"), rsa.Jwk("a", R"(,"alg":"PS256")"),
        rsa.Jwk("a", R"(,"alg":"ES256")"), ec.Jwk("a", R"(,"alg":"RS256")"), rsa.Jwk("a", R"(,"key_ops":["encrypt"])"),
        Replaced(ec.Jwk("a"), "P-256", "P-384"), std::string(R"({"kty":"OKP","crv":"Ed25519","x":"AA"})"),
        std::string(R"({"kty":"new"})")}) {
    EXPECT_THAT(JwksErrorOf(TestJwkSet({other})), HasSubstr("no key is one that can verify")) << other;
    const auto set = JwkSet::Parse(TestJwkSet({other, ec.Jwk("a")}));
    ASSERT_THAT(set, IsOk()) << other;
    EXPECT_EQ(set->Find(JwtAlgorithm::kRs256, "a"), nullptr) << other;
  }
}

TEST(JwkSet, SecretsDoNotBelongThere) {
  EXPECT_EQ(JwksErrorOf(TestJwkSet({TestJwtKey::P256().Jwk("", R"(,
"d":"AA")")})),
            "2:5: `d` is a secret: only public keys belong here");
  EXPECT_THAT(JwksErrorOf(R"({"keys": [{"kty":"oct","k":"AA"}]})"), HasSubstr("`k` is a secret"));
}

TEST(JwkSet, WeakRsaKeysAreRefused) {
  EXPECT_THAT(JwksErrorOf(TestJwkSet({TestJwtKey::Rsa(1024).Jwk("")})),
              HasSubstr("2048 to 8192 bits, this one has 1024"));
  const auto rsa = [](const std::string& n, const std::string& e) {
    return TestJwkSet({R"({"kty":"RSA","n":")" + EncodeBase64Url(n) + R"(","e":")" + EncodeBase64Url(e) + "\"}"});
  };
  EXPECT_THAT(JwksErrorOf(rsa(std::string(2000, '\xff'), "\x01")), HasSubstr("this one has 16000"));
  EXPECT_THAT(JwksErrorOf(rsa(std::string(1, '\0') + std::string(255, '\xff'), "\x03")), HasSubstr("has 2040"));
  const std::string even = std::string(255, '\xff') + '\xfe';
  EXPECT_THAT(JwksErrorOf(rsa(even, std::string("\x01\x00\x01", 3))), HasSubstr("are no RSA key"));
  const std::string odd = std::string(256, '\xff');
  EXPECT_THAT(JwksErrorOf(rsa(odd, "\x01")), HasSubstr("are no RSA key"));
  EXPECT_THAT(JwksErrorOf(rsa(odd, "\x02")), HasSubstr("are no RSA key"));
  EXPECT_THAT(JwksErrorOf(rsa(odd, std::string(9, '\xff'))), HasSubstr("at most 64 bits"));
}

TEST(JwkSet, APointMustBeOnTheCurve) {
  const auto point = [](const std::string& x, const std::string& y) {
    return TestJwkSet(
        {R"({"kty":"EC","crv":"P-256","x":")" + EncodeBase64Url(x) + R"(","y":")" + EncodeBase64Url(y) + "\"}"});
  };
  EXPECT_THAT(JwksErrorOf(point(std::string(32, '\1'), std::string(32, '\1'))), HasSubstr("no point of P-256"));
  EXPECT_THAT(JwksErrorOf(point(std::string(32, '\0'), std::string(32, '\0'))), HasSubstr("no point of P-256"));
  EXPECT_THAT(JwksErrorOf(point(std::string(32, '\xff'), std::string(32, '\xff'))), HasSubstr("no point of P-256"));
  EXPECT_THAT(JwksErrorOf(point(std::string(31, '\1'), std::string(32, '\1'))), HasSubstr("`x` must be 32 bytes"));
  EXPECT_THAT(JwksErrorOf(point(std::string(32, '\1'), std::string(33, '\1'))), HasSubstr("`y` must be 32 bytes"));
}

TEST(JwkSet, WhatIsWrongIsToldWithItsPlace) {
  const std::string ec = TestJwtKey::P256().Jwk("a");
  EXPECT_THAT(JwksErrorOf("{\"keys\": [}"), StartsWith("1:11: "));
  EXPECT_EQ(JwksErrorOf("[]"), "1:1: a JSON Web Key Set must be {\"keys\": […]}");
  EXPECT_EQ(JwksErrorOf("{\"keys\":\n{}}"), "2:1: a JSON Web Key Set must be {\"keys\": […]}");
  EXPECT_EQ(JwksErrorOf("{\"keys\": [\n 1]}"), "2:2: a key must be an object");
  EXPECT_THAT(JwksErrorOf(R"({"keys": [{}]})"), HasSubstr("`kty` is missing"));
  EXPECT_THAT(JwksErrorOf(R"({"keys": [{"kty": 1}]})"), HasSubstr("`kty` must be text"));
  EXPECT_THAT(JwksErrorOf(R"({"keys": [{"kty": "RSA", "n": "AA"}]})"), HasSubstr("`e` is missing"));
  EXPECT_THAT(JwksErrorOf(R"({"keys": [{"kty": "RSA", "n": "A="}]})"), HasSubstr("base64url without padding"));
  EXPECT_THAT(JwksErrorOf(R"({"keys": [{"kty": "RSA", "kty": "EC"}]})"), HasSubstr("is there twice"));
  EXPECT_THAT(JwksErrorOf(TestJwkSet({ec, ec})), HasSubstr("`kid` \"a\" is there twice"));
  EXPECT_THAT(JwksErrorOf(Replaced(TestJwkSet({ec}), "\"a\"", "\"\\n\"")), HasSubstr("printable ASCII"));
  EXPECT_THAT(JwksErrorOf(std::string(kMaxJwkSetBytes + 1, ' ')), HasSubstr("at most 1 MiB"));
  std::string many = "{\"kty\":\"new\"}";
  for (int i = 0; i < 64; ++i) many += ",{\"kty\":\"new\"}";
  EXPECT_THAT(JwksErrorOf("{\"keys\":[" + many + "]}"), HasSubstr("at most 64 keys"));
}

}  // namespace
}  // namespace transportd
