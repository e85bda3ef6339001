#include "tests/support/test_jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <cstdint>
#include <vector>

#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr int kP256CoordinateBytes = 32;

std::string Number(EVP_PKEY* key, const char* name, int size_bytes) {
  BIGNUM* number = nullptr;
  CHECK(EVP_PKEY_get_bn_param(key, name, &number) == 1);
  std::string bytes(static_cast<size_t>(size_bytes == 0 ? BN_num_bytes(number) : size_bytes), '\0');
  CHECK(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) >= 0);
  BN_free(number);
  return bytes;
}

// RFC 7518, section 3.4.
std::string DerToPair(const std::string& der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* const numbers = d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size()));
  CHECK(numbers != nullptr);
  std::string pair(2 * kP256CoordinateBytes, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(pair.data());
  CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), out, kP256CoordinateBytes) > 0);
  CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), out + kP256CoordinateBytes, kP256CoordinateBytes) > 0);
  ECDSA_SIG_free(numbers);
  return pair;
}

}  // namespace

std::string EncodeBase64Url(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  uint32_t bits = 0;
  int bit_count = 0;
  for (const char c : bytes) {
    bits = (bits << 8 | static_cast<unsigned char>(c)) & 0xffff;
    bit_count += 8;
    for (; bit_count >= 6; bit_count -= 6) text.push_back(kDigits[bits >> (bit_count - 6) & 0x3f]);
  }
  if (bit_count > 0) text.push_back(kDigits[bits << (6 - bit_count) & 0x3f]);
  return text;
}

void TestJwtKey::Free::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
TestJwtKey::TestJwtKey(EVP_PKEY* key) : key_(key) { CHECK(key != nullptr); }
TestJwtKey::TestJwtKey(TestJwtKey&&) noexcept = default;
TestJwtKey::~TestJwtKey() = default;
TestJwtKey TestJwtKey::Rsa(int bits) { return TestJwtKey(EVP_RSA_gen(static_cast<size_t>(bits))); }
TestJwtKey TestJwtKey::P256() { return TestJwtKey(EVP_EC_gen("P-256")); }

std::string TestJwtKey::Jwk(std::string_view kid, std::string_view more) const {
  const auto number = [&](const char* name, int size_bytes) {
    return EncodeBase64Url(Number(key_.get(), name, size_bytes));
  };
  std::string jwk = R"({"kty":)";
  if (EVP_PKEY_is_a(key_.get(), "RSA") == 1) {
    jwk += StrCat(R"("RSA","n":")", number(OSSL_PKEY_PARAM_RSA_N, 0), R"(","e":")", number(OSSL_PKEY_PARAM_RSA_E, 0),
                  "\"");
  } else {
    jwk += StrCat(R"("EC","crv":"P-256","x":")", number(OSSL_PKEY_PARAM_EC_PUB_X, kP256CoordinateBytes), R"(","y":")",
                  number(OSSL_PKEY_PARAM_EC_PUB_Y, kP256CoordinateBytes), "\"");
  }
  if (!kid.empty()) jwk += StrCat(R"(,"kid":")", kid, "\"");
  return StrCat(jwk, more, "}");
}

std::string TestJwtKey::Sign(std::string_view signing_input) const {
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  CHECK(EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get()) == 1);
  const auto* const input = reinterpret_cast<const unsigned char*>(signing_input.data());
  size_t size = 0;
  CHECK(EVP_DigestSign(context, nullptr, &size, input, signing_input.size()) == 1);
  std::string signature(size, '\0');
  CHECK(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, input,
                       signing_input.size()) == 1);
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return EncodeBase64Url(EVP_PKEY_is_a(key_.get(), "RSA") == 1 ? signature : DerToPair(signature));
}

std::string TestJwtKey::Token(std::string_view header, std::string_view claims) const {
  const std::string signing_input = StrCat(EncodeBase64Url(header), ".", EncodeBase64Url(claims));
  return StrCat(signing_input, ".", Sign(signing_input));
}

std::string TestJwkSet(std::initializer_list<std::string> keys) {
  std::string set = "{\"keys\": [";
  for (const std::string& key : keys) set += StrCat(set.back() == '[' ? "" : ",", key);
  return set + "]}";
}

}  // namespace transportd
