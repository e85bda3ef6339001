// JSON Web Tokens (RFC 7519), signed with RS256 or ES256 by somebody whose keys are known; as RFC 8725 wants them
// checked.
#ifndef TRANSPORTD_SERVER_POLICY_JWT_H_
#define TRANSPORTD_SERVER_POLICY_JWT_H_

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/policy/jwks.h"

namespace transportd {

inline constexpr size_t kMaxJwtBytes = 16 * 1024;

// Whose tokens are taken: v1::JwtIssuer, with its keys. Threading: immutable once it is shared.
struct TrustedIssuer {
  std::string issuer;
  std::vector<std::string> audiences;
  std::string principal_prefix;
  JwkSet keys;
};

// Who a token stands for.
struct JwtIdentity {
  std::string principal;
  std::string key_id;  // `kid`; empty: it names none.
};

// Whether `token` has the form of one: two dots.
bool LooksLikeJwt(std::string_view token);

// UNAUTHENTICATED, whose message tells a client what is wrong, and nothing of what the service knows: before the
// signature is verified, only that it is not. `exp` must be there; `nbf` and `iat` count when they are; clocks may
// differ by 60 s. Extensions (`crit`) are refused, and types (`typ`) other than JWT and at+jwt. Threading: any thread.
absl::StatusOr<JwtIdentity> VerifyJwt(std::string_view token, std::span<const TrustedIssuer> issuers,
                                      std::chrono::system_clock::time_point now);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_JWT_H_
