#include "server/policy/jwt.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "server/policy/base64url.h"
#include "server/policy/json_value.h"
#include "server/policy/openssl_free.h"
#include "server/policy/principal.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using JwtClock = std::chrono::system_clock;
using JwtSeconds = std::chrono::duration<double>;
using MdCtxPtr = std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>>;
using EcdsaSigPtr = std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>>;

constexpr JwtSeconds kJwtSkew(60);
constexpr int kEs256HalfBytes = 32;
constexpr size_t kMaxEs256DerBytes = 72;

absl::Status BadJwt(std::string_view what) {
  return absl::UnauthenticatedError(ToAbsl(StrCat("the JSON Web Token ", what)));
}
absl::Status Malformed() { return BadJwt("is malformed"); }
// Of all that only the service's keys and issuers decide.
absl::Status NotSigned() { return BadJwt("is not signed by an issuer that is known here"); }

// RFC 7515, section 7.1.
struct CompactJws {
  std::string_view signing_input;
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
};

std::optional<CompactJws> SplitJws(std::string_view token) {
  const size_t first = token.find('.');
  if (first == std::string_view::npos) return {};
  const size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return {};
  return CompactJws{token.substr(0, second), token.substr(0, first), token.substr(first + 1, second - first - 1),
                    token.substr(second + 1)};
}

std::optional<JsonValue> DecodeJwtObject(std::string_view part) {
  const std::optional<std::string> text = DecodeBase64Url(part);
  if (!text) return {};
  absl::StatusOr<JsonValue> value = ParseJson(*text);
  if (!value.ok() || value->kind != JsonValue::Kind::kObject) return {};
  return *std::move(value);
}

const std::string* FindText(const JsonValue& object, std::string_view name) {
  const JsonValue* const member = object.Find(name);
  return member != nullptr && member->kind == JsonValue::Kind::kString ? &member->text : nullptr;
}

struct JwtHeader {
  JwtAlgorithm algorithm = JwtAlgorithm::kRs256;
  std::optional<std::string> kid;
};

absl::StatusOr<JwtHeader> ReadJwtHeader(std::string_view part) {
  const std::optional<JsonValue> json = DecodeJwtObject(part);
  if (!json) return Malformed();
  if (json->Find("crit") != nullptr) return BadJwt("has an extension (`crit`) that is not known here");
  if (json->Find("typ") != nullptr) {
    const std::string* const type = FindText(*json, "typ");
    if (type == nullptr) return Malformed();
    std::string name = absl::AsciiStrToLower(*type);
    if (absl::StartsWith(name, "application/")) name.erase(0, std::string_view("application/").size());
    if (name != "jwt" && name != "at+jwt") return BadJwt("is of another type (`typ`) than JWT and at+jwt");
  }
  JwtHeader header;
  if (json->Find("kid") != nullptr) {
    const std::string* const kid = FindText(*json, "kid");
    if (kid == nullptr) return Malformed();
    header.kid = *kid;
  }
  const std::string* const algorithm = FindText(*json, "alg");
  if (algorithm != nullptr && *algorithm == "RS256") {
    header.algorithm = JwtAlgorithm::kRs256;
  } else if (algorithm != nullptr && *algorithm == "ES256") {
    header.algorithm = JwtAlgorithm::kEs256;
  } else {
    return BadJwt("must be signed with RS256 or ES256");
  }
  return header;
}

// OpenSSL reads DER, a JWS has both numbers one after the other: RFC 7518, section 3.4.
std::string Es256ToDer(std::string_view signature) {
  if (signature.size() != 2 * kEs256HalfBytes) return "";
  const EcdsaSigPtr numbers(ECDSA_SIG_new());
  const auto* const bytes = reinterpret_cast<const unsigned char*>(signature.data());
  BIGNUM* const r = BN_bin2bn(bytes, kEs256HalfBytes, nullptr);
  BIGNUM* const s = BN_bin2bn(bytes + kEs256HalfBytes, kEs256HalfBytes, nullptr);
  if (numbers == nullptr || ECDSA_SIG_set0(numbers.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return "";
  }
  unsigned char der[kMaxEs256DerBytes];
  const int size = i2d_ECDSA_SIG(numbers.get(), nullptr);
  unsigned char* end = der;
  if (size <= 0 || static_cast<size_t>(size) > sizeof(der) || i2d_ECDSA_SIG(numbers.get(), &end) != size) return "";
  return std::string(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
}

bool IsSignatureOf(EVP_PKEY* key, JwtAlgorithm algorithm, std::string signature, std::string_view signing_input) {
  if (algorithm == JwtAlgorithm::kEs256) signature = Es256ToDer(signature);
  const MdCtxPtr context(EVP_MD_CTX_new());
  const bool is_good =
      !signature.empty() && context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(signing_input.data()), signing_input.size()) == 1;
  ERR_clear_error();
  return is_good;
}

// NumericDate, RFC 7519, section 2: seconds since 1970, with a fraction or without.
std::optional<JwtSeconds> ReadJwtDate(const JsonValue& value) {
  double seconds = 0;
  if (value.kind != JsonValue::Kind::kNumber) return {};
  const auto [end, error] = std::from_chars(value.text.data(), value.text.data() + value.text.size(), seconds);
  if (error != std::errc()) return {};
  return JwtSeconds(seconds);
}

absl::Status CheckJwtTimes(const JsonValue& claims, JwtClock::time_point now) {
  const JwtSeconds seconds = now.time_since_epoch();
  std::optional<JwtSeconds> expiry, not_before, issued_at;
  for (const auto& [name, out] : {std::pair("exp", &expiry), {"nbf", &not_before}, {"iat", &issued_at}}) {
    const JsonValue* const claim = claims.Find(name);
    if (claim == nullptr) continue;
    *out = ReadJwtDate(*claim);
    if (!out->has_value()) return BadJwt(StrCat("has no number of seconds as `", name, "`"));
  }
  if (!expiry) return BadJwt("does not say when it expires (`exp`)");
  if (seconds >= *expiry + kJwtSkew) return BadJwt("has expired (`exp`)");
  if (not_before && seconds + kJwtSkew < *not_before) return BadJwt("is not valid yet (`nbf`)");
  if (issued_at && seconds + kJwtSkew < *issued_at) return BadJwt("was issued in the future (`iat`)");
  return absl::OkStatus();
}

bool IsForUs(const JsonValue* audience, const std::vector<std::string>& audiences) {
  if (audience == nullptr) return false;
  const auto is_text = [](const JsonValue& value) { return value.kind == JsonValue::Kind::kString; };
  const auto is_ours = [&](const JsonValue& value) {
    return std::find(audiences.begin(), audiences.end(), value.text) != audiences.end();
  };
  if (is_text(*audience)) return is_ours(*audience);
  const std::vector<JsonValue>& all = audience->elements;
  return audience->kind == JsonValue::Kind::kArray && std::all_of(all.begin(), all.end(), is_text) &&
         std::any_of(all.begin(), all.end(), is_ours);
}

}  // namespace

bool LooksLikeJwt(std::string_view token) { return SplitJws(token).has_value(); }

absl::StatusOr<JwtIdentity> VerifyJwt(std::string_view token, std::span<const TrustedIssuer> issuers,
                                      std::chrono::system_clock::time_point now) {
  if (token.size() > kMaxJwtBytes) return BadJwt("is longer than 16 KiB");
  const std::optional<CompactJws> parts = SplitJws(token);
  if (!parts) return Malformed();
  absl::StatusOr<JwtHeader> header = ReadJwtHeader(parts->header);
  if (!header.ok()) return header.status();
  const std::optional<JsonValue> claims = DecodeJwtObject(parts->payload);
  std::optional<std::string> signature = DecodeBase64Url(parts->signature);
  if (!claims || !signature) return Malformed();
  // Nobody has vouched for the claims yet: `iss` only says whose keys to try.
  const std::string* const issuer_name = FindText(*claims, "iss");
  if (issuer_name == nullptr) return NotSigned();
  const auto issuer = std::find_if(issuers.begin(), issuers.end(),
                                   [&](const TrustedIssuer& known) { return known.issuer == *issuer_name; });
  if (issuer == issuers.end()) return NotSigned();
  EVP_PKEY* const key = issuer->keys.Find(header->algorithm, header->kid);
  if (key == nullptr || !IsSignatureOf(key, header->algorithm, *std::move(signature), parts->signing_input)) {
    return NotSigned();
  }
  if (absl::Status status = CheckJwtTimes(*claims, now); !status.ok()) return status;
  if (!IsForUs(claims->Find("aud"), issuer->audiences)) return BadJwt("is for another audience (`aud`)");
  const std::string* const subject = FindText(*claims, "sub");
  if (subject == nullptr || subject->empty()) return BadJwt("does not say whom it stands for (`sub`)");
  std::string principal = issuer->principal_prefix + *subject;
  if (!IsPrincipal(principal)) return BadJwt("has a `sub` that is too long or not printable ASCII");
  return JwtIdentity{std::move(principal), std::move(header->kid).value_or("")};
}

}  // namespace transportd
