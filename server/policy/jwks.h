// The public keys of who issues JSON Web Tokens: a JSON Web Key Set (RFC 7517), as far as RS256 and ES256 need it.
#ifndef TRANSPORTD_SERVER_POLICY_JWKS_H_
#define TRANSPORTD_SERVER_POLICY_JWKS_H_

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace transportd {

// RFC 7518, section 3.1: RSASSA-PKCS1-v1_5 and ECDSA with P-256, both with SHA-256.
enum class JwtAlgorithm { kRs256, kEs256 };

inline constexpr size_t kMaxJwkSetBytes = 1024 * 1024;

// Threading: immutable after construction.
class JwkSet final {
 public:
  // One to 64 keys that can verify. Keys for something else are passed over, as RFC 7517 has it: another `kty`, `crv`
  // or `alg`, a `use` that is not `sig`, `key_ops` without `verify`. INVALID_ARGUMENT, its message begins with
  // LINE:COLUMN: no JSON, more than kMaxJwkSetBytes, a private key, an RSA key of less than 2048 or more than 8192
  // bits, a point that is not on the curve, two keys of one `kid` and algorithm, no key that can verify.
  static absl::StatusOr<JwkSet> Parse(std::string_view text);

  JwkSet(JwkSet&&) noexcept;
  JwkSet& operator=(JwkSet&&) noexcept;
  ~JwkSet();

  // The key of that `kid`; without one the only key of the algorithm. Null: there is none, or it is not the only one.
  EVP_PKEY* Find(JwtAlgorithm algorithm, const std::optional<std::string>& kid) const;

 private:
  struct Key;

  JwkSet();

  std::vector<Key> keys_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_JWKS_H_
