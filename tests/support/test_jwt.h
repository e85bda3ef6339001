// JSON Web Tokens made for a test.
#ifndef TRANSPORTD_TESTS_SUPPORT_TEST_JWT_H_
#define TRANSPORTD_TESTS_SUPPORT_TEST_JWT_H_

#include <openssl/types.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace transportd {

// RFC 4648, section 5, without padding.
std::string EncodeBase64Url(std::string_view bytes);

// A key that signs. Threading: the test's thread.
class TestJwtKey final {
 public:
  static TestJwtKey Rsa(int bits = 2048);
  static TestJwtKey P256();
  TestJwtKey(TestJwtKey&&) noexcept;
  ~TestJwtKey();

  // The public key as a JSON Web Key; `more` is inside the braces, as `,"use":"sig"`.
  std::string Jwk(std::string_view kid, std::string_view more = "") const;
  // Of the bytes: RS256 or ES256, base64url.
  std::string Sign(std::string_view signing_input) const;
  // All of a token: `header` and `claims` are JSON.
  std::string Token(std::string_view header, std::string_view claims) const;

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const;
  };

  explicit TestJwtKey(EVP_PKEY* key);

  std::unique_ptr<EVP_PKEY, Free> key_;
};

// {"keys": […]}
std::string TestJwkSet(std::initializer_list<std::string> keys);

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_TEST_JWT_H_
