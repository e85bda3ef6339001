#include "server/policy/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_jwt.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::HasSubstr;

constexpr std::chrono::system_clock::time_point kNow(std::chrono::seconds(1'900'000'000));
constexpr char kClaims[] = R"({"iss":"https://issuer","aud":"transportd","sub":"runner","exp":1900000300})";
constexpr char kRs256[] = R"({"alg":"RS256","kid":"r1"})";
constexpr char kEs256[] = R"({"alg":"ES256","kid":"e1","typ":"JWT"})";

const TestJwtKey& RsaKey() {
  static const TestJwtKey& key = *new TestJwtKey(TestJwtKey::Rsa());
  return key;
}
const TestJwtKey& EcKey() {
  static const TestJwtKey& key = *new TestJwtKey(TestJwtKey::P256());
  return key;
}

TrustedIssuer Issuer(const std::string& key_set) {
  absl::StatusOr<JwkSet> keys = JwkSet::Parse(key_set);
  EXPECT_THAT(keys, IsOk());
  return {"https://issuer", {"other", "transportd"}, "k8s:", *std::move(keys)};
}

std::vector<TrustedIssuer> Issuers() {
  std::vector<TrustedIssuer> issuers;
  issuers.push_back(Issuer(TestJwkSet({RsaKey().Jwk("r1"), EcKey().Jwk("e1")})));
  return issuers;
}

absl::StatusOr<JwtIdentity> Verify(std::string_view token, std::chrono::system_clock::time_point now = kNow) {
  static const std::vector<TrustedIssuer>& issuers = *new std::vector<TrustedIssuer>(Issuers());
  return VerifyJwt(token, issuers, now);
}

std::string JwtErrorOf(std::string_view token, std::chrono::system_clock::time_point now = kNow) {
  const auto identity = Verify(token, now);
  EXPECT_THAT(identity, StatusIs(absl::StatusCode::kUnauthenticated)) << token;
  return std::string(identity.status().message());
}

// Signed as it must be; the claims are `kClaims` with `from` replaced.
std::string WithClaims(std::string_view from, std::string_view to) {
  std::string claims = kClaims;
  const size_t at = claims.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return EcKey().Token(kEs256, claims.replace(at, from.size(), to));
}
std::string WithMore(std::string_view more) { return WithClaims("}", StrCat(",", more, "}")); }

TEST(Jwt, BothAlgorithmsAreVerified) {
  for (const std::string& token : {RsaKey().Token(kRs256, kClaims), EcKey().Token(kEs256, kClaims)}) {
    EXPECT_TRUE(LooksLikeJwt(token));
    const auto identity = Verify(token);
    ASSERT_THAT(identity, IsOk());
    EXPECT_EQ(identity->principal, "k8s:runner");
  }
  EXPECT_EQ(Verify(RsaKey().Token(kRs256, kClaims))->key_id, "r1");
}

// RFC 7515, appendices A.2 and A.3: good signatures of claims that are not for this service.
TEST(Jwt, Rfc7515ExamplesAreVerified) {
  constexpr char kPayload[] =
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
  constexpr char kRsaJwk[] =
      R"({"kty":"RSA","e":"AQAB","n":")"
      "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
      "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
      "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
      "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
      "\"}";
  constexpr char kEcJwk[] = R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                            R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
  const std::string rsa_token =
      StrCat("eyJhbGciOiJSUzI1NiJ9.", kPayload,
             ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
             "O8W2Fp5jujGbds9uJdbF9CUAr7t1"
             "dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO-"
             "-xi12jzDw"
             "usC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
             "IoypGlUPQGe77Rw");
  const std::string ec_token =
      StrCat("eyJhbGciOiJFUzI1NiJ9.", kPayload,
             ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  std::vector<TrustedIssuer> issuers;
  issuers.push_back(Issuer(TestJwkSet({kRsaJwk, kEcJwk})));
  issuers.front().issuer = "joe";
  const std::chrono::system_clock::time_point then(std::chrono::seconds(1'300'819'000));
  for (std::string token : {rsa_token, ec_token}) {
    EXPECT_THAT(std::string(VerifyJwt(token, issuers, then).status().message()), HasSubstr("another audience"));
    EXPECT_THAT(std::string(VerifyJwt(token, issuers, kNow).status().message()), HasSubstr("has expired"));
    const size_t at = token.rfind('.') + 10;
    token[at] = token[at] == 'A' ? 'B' : 'A';
    EXPECT_THAT(std::string(VerifyJwt(token, issuers, then).status().message()), HasSubstr("is not signed by"));
  }
}

TEST(Jwt, AnyChangeBreaksTheSignature) {
  const std::string token = EcKey().Token(kEs256, kClaims);
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '.') continue;
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(Verify(changed).ok()) << i;
  }
  for (size_t size = 0; size < token.size(); size += 7) EXPECT_FALSE(Verify(token.substr(0, size)).ok()) << size;
}

TEST(Jwt, OfAnotherKeyIsNotSigned) {
  EXPECT_THAT(JwtErrorOf(TestJwtKey::P256().Token(kEs256, kClaims)), HasSubstr("is not signed by"));
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"alg":"ES256","kid":"e2"})", kClaims)), HasSubstr("is not signed by"));
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"alg":"ES256","kid":"r1"})", kClaims)), HasSubstr("is not signed by"));
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"alg":"ES256","kid":""})", kClaims)), HasSubstr("is not signed by"));
  EXPECT_THAT(JwtErrorOf(WithClaims("https://issuer", "https://issuer/")), HasSubstr("is not signed by"));
  EXPECT_THAT(JwtErrorOf(WithClaims("\"https://issuer\"", "[\"https://issuer\"]")), HasSubstr("is not signed by"));
  EXPECT_THAT(Verify(EcKey().Token(R"({"alg":"ES256"})", kClaims)), IsOk());
}

TEST(Jwt, OneIssuersKeyIsNotAnothers) {
  std::vector<TrustedIssuer> issuers = Issuers();
  issuers.push_back(Issuer(TestJwkSet({TestJwtKey::P256().Jwk("e1")})));
  issuers.back().issuer = "https://second";
  issuers.back().principal_prefix = "second:";
  EXPECT_THAT(VerifyJwt(WithClaims("https://issuer", "https://second"), issuers, kNow),
              StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(VerifyJwt(EcKey().Token(kEs256, kClaims), issuers, kNow), IsOk());
}

TEST(Jwt, OtherAlgorithmsAreRefused) {
  const std::string claims = EncodeBase64Url(kClaims);
  for (const char* alg : {"none", "None", "HS256", "RS384", "PS256", "ES384", "EdDSA", "rs256", ""}) {
    const std::string header = EncodeBase64Url(StrCat(R"({"alg":")", alg, R"(","kid":"r1"})"));
    EXPECT_THAT(JwtErrorOf(StrCat(header, ".", claims, ".")), HasSubstr("RS256 or ES256")) << alg;
    EXPECT_THAT(JwtErrorOf(StrCat(header, ".", claims, ".", RsaKey().Sign(StrCat(header, ".", claims)))),
                HasSubstr("RS256 or ES256"))
        << alg;
  }
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"kid":"e1"})", kClaims)), HasSubstr("RS256 or ES256"));
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"alg":["ES256"],"kid":"e1"})", kClaims)), HasSubstr("RS256 or ES256"));
}

// The public key as the secret of an HMAC, which is what fools a verifier that takes `alg` for granted.
TEST(Jwt, APublicKeyIsNoHmacSecret) {
  const std::string secret = RsaKey().Jwk("r1");
  const std::string input = StrCat(EncodeBase64Url(R"({"alg":"HS256","kid":"r1"})"), ".", EncodeBase64Url(kClaims));
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac, &size);
  const std::string signature(reinterpret_cast<const char*>(mac), size);
  EXPECT_THAT(JwtErrorOf(StrCat(input, ".", EncodeBase64Url(signature))), HasSubstr("RS256 or ES256"));
}

TEST(Jwt, AnEmptyOrZeroSignatureIsNone) {
  const std::string input = StrCat(EncodeBase64Url(kEs256), ".", EncodeBase64Url(kClaims));
  for (const size_t size : {size_t{0}, size_t{63}, size_t{64}, size_t{65}, size_t{72}}) {
    EXPECT_THAT(JwtErrorOf(StrCat(input, ".", EncodeBase64Url(std::string(size, '\0')))),
                HasSubstr("is not signed by"));
  }
  const std::string rsa_input = StrCat(EncodeBase64Url(kRs256), ".", EncodeBase64Url(kClaims));
  for (const size_t size : {size_t{0}, size_t{255}, size_t{256}, size_t{257}}) {
    EXPECT_THAT(JwtErrorOf(StrCat(rsa_input, ".", EncodeBase64Url(std::string(size, '\0')))),
                HasSubstr("is not signed by"));
  }
}

TEST(Jwt, ExtensionsAndOtherTypesAreRefused) {
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"alg":"ES256","kid":"e1","crit":["b64"],"b64":false})", kClaims)),
              HasSubstr("crit"));
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"alg":"ES256","kid":"e1","crit":[]})", kClaims)), HasSubstr("crit"));
  EXPECT_THAT(JwtErrorOf(EcKey().Token(R"({"alg":"ES256","kid":"e1","typ":"logout+jwt"})", kClaims)), HasSubstr("typ"));
  for (const char* type : {"at+jwt", "application/at+JWT", "jwt"}) {
    EXPECT_THAT(Verify(EcKey().Token(StrCat(R"({"alg":"ES256","kid":"e1","typ":")", type, R"("})"), kClaims)), IsOk());
  }
}

TEST(Jwt, TheAudienceIsOneOfOurs) {
  EXPECT_THAT(Verify(WithClaims("\"transportd\"", R"(["x","transportd"])")), IsOk());
  EXPECT_THAT(Verify(WithClaims("\"transportd\"", R"("other")")), IsOk());
  for (const char* audience : {"\"Transportd\"", "\"\"", "[]", "[\"x\"]", "[[\"transportd\"]]", "[\"transportd\", 1]",
                               "1", "null", "{\"transportd\": \"transportd\"}"}) {
    EXPECT_THAT(JwtErrorOf(WithClaims("\"transportd\"", audience)), HasSubstr("another audience")) << audience;
  }
  EXPECT_THAT(JwtErrorOf(WithClaims("\"aud\"", "\"audience\"")), HasSubstr("another audience"));
}

TEST(Jwt, TimesCountWithAMinuteToSpare) {
  const auto at = [](int64_t seconds) { return std::chrono::system_clock::time_point(std::chrono::seconds(seconds)); };
  const std::string token = EcKey().Token(kEs256, kClaims);
  EXPECT_THAT(Verify(token, at(1'900'000'359)), IsOk());
  EXPECT_THAT(JwtErrorOf(token, at(1'900'000'360)), HasSubstr("has expired"));
  EXPECT_THAT(Verify(WithMore("\"nbf\":1900000060,\"iat\":1900000060.5"), at(1'900'000'001)), IsOk());
  EXPECT_THAT(JwtErrorOf(WithMore("\"nbf\":1900000061")), HasSubstr("not valid yet"));
  EXPECT_THAT(JwtErrorOf(WithMore("\"iat\":1900000061")), HasSubstr("issued in the future"));
  EXPECT_THAT(JwtErrorOf(WithClaims("\"exp\"", "\"expires\"")), HasSubstr("does not say when it expires"));
  for (const char* bad : {"\"1900000300\"", "null", "[1900000300]", "true", "1e999"}) {
    EXPECT_FALSE(Verify(WithClaims("1900000300", bad)).ok()) << bad;
  }
  EXPECT_THAT(JwtErrorOf(WithMore("\"nbf\":\"1\"")), HasSubstr("`nbf`"));
  EXPECT_FALSE(Verify(WithClaims("1900000300", "-1")).ok());
}

TEST(Jwt, TheSubjectMakesThePrincipal) {
  EXPECT_EQ(Verify(WithClaims("runner", "system:serviceaccount:ci:runner"))->principal,
            "k8s:system:serviceaccount:ci:runner");
  EXPECT_THAT(Verify(WithClaims("runner", std::string(252, 'a'))), IsOk());
  EXPECT_THAT(JwtErrorOf(WithClaims("runner", std::string(253, 'a'))), HasSubstr("too long"));
  for (const char* bad : {"a b", "\\n", "\u00e9", "\\u0000"}) {
    EXPECT_THAT(JwtErrorOf(WithClaims("runner", bad)), HasSubstr("not printable ASCII"));
  }
  for (const char* bad : {"\"\"", "1", "[\"runner\"]", "null"}) {
    EXPECT_THAT(JwtErrorOf(WithClaims("\"runner\"", bad)), HasSubstr("whom it stands for"));
  }
}

TEST(Jwt, WhatIsNoTokenIsMalformed) {
  const std::string good = EcKey().Token(kEs256, kClaims);
  for (const std::string& bad : {std::string(), std::string("a.b"), std::string("a.b.c.d"), std::string(".."),
                                 good + "=", good + ".", EcKey().Token("[]", kClaims), EcKey().Token(kEs256, "[]"),
                                 EcKey().Token(kEs256, "{"), EcKey().Token(R"({"alg":"ES256","alg":"ES256"})", kClaims),
                                 EcKey().Token(R"({"alg":"ES256","kid":1})", kClaims),
                                 EcKey().Token(R"({"alg":"ES256","typ":1})", kClaims), WithMore("\"sub\":\"admin\"")}) {
    EXPECT_THAT(JwtErrorOf(bad), HasSubstr("is malformed")) << bad;
  }
  EXPECT_THAT(JwtErrorOf(WithMore(StrCat("\"x\":\"", std::string(kMaxJwtBytes, 'x'), "\""))), HasSubstr("16 KiB"));
}

}  // namespace
}  // namespace transportd
