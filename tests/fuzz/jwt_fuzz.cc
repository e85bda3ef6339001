// JSON Web Tokens and key sets. The first byte says what the rest is:
//   t  a token: nobody has signed it, so it is refused
//   s  a header, a line end, and claims, which are signed: what is taken makes a principal of the issuer's
//   k  a key set: what is taken finds keys
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/policy/base64url.h"
#include "server/policy/jwks.h"
#include "server/policy/jwt.h"
#include "server/policy/principal.h"
#include "tests/support/test_jwt.h"
#include "transports/base/check.h"

namespace transportd::fuzz {
namespace {

constexpr std::chrono::system_clock::time_point kNow(std::chrono::seconds(1'900'000'000));

const TestJwtKey& Signer() {
  static const TestJwtKey& key = *new TestJwtKey(TestJwtKey::P256());
  return key;
}

const std::vector<TrustedIssuer>& Issuers() {
  static const std::vector<TrustedIssuer>& issuers = *[] {
    absl::StatusOr<JwkSet> keys = JwkSet::Parse(TestJwkSet({Signer().Jwk("e1")}));
    CHECK(keys.ok());
    auto* const made = new std::vector<TrustedIssuer>();
    made->push_back({"i", {"a"}, "j:", *std::move(keys)});
    return made;
  }();
  return issuers;
}

void VerifySigned(std::string_view text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string token =
      Signer().Token(text.substr(0, end), end < text.size() ? text.substr(end + 1) : std::string_view());
  const absl::StatusOr<JwtIdentity> identity = VerifyJwt(token, Issuers(), kNow);
  if (!identity.ok()) return CHECK(identity.status().code() == absl::StatusCode::kUnauthenticated);
  CHECK(identity->principal.substr(0, 2) == "j:" && IsPrincipal(identity->principal));
  CHECK(identity->key_id.empty() || identity->key_id == "e1");
  // Long after, it is over.
  CHECK(!VerifyJwt(token, Issuers(), std::chrono::system_clock::time_point::max()).ok() ||
        text.find("exp") != std::string_view::npos);
}

void ReadKeys(std::string_view text) {
  const absl::StatusOr<JwkSet> keys = JwkSet::Parse(text);
  if (!keys.ok()) return CHECK(keys.status().code() == absl::StatusCode::kInvalidArgument);
  static_cast<void>(keys->Find(JwtAlgorithm::kRs256, {}));
  CHECK(keys->Find(JwtAlgorithm::kEs256, "") == nullptr);
}

}  // namespace

static void TestOneInput(std::string_view text) {
  if (text.empty()) return;
  const std::string_view rest = text.substr(1);
  if (const auto bytes = DecodeBase64Url(rest)) CHECK(EncodeBase64Url(*bytes) == rest);
  if (text.front() == 't') CHECK(!VerifyJwt(rest, Issuers(), kNow).ok());
  if (text.front() == 's') VerifySigned(rest);
  if (text.front() == 'k') ReadKeys(rest);
}

}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput({reinterpret_cast<const char*>(data), size});
  return 0;
}
