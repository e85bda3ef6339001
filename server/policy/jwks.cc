#include "server/policy/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <utility>

#include "server/policy/base64url.h"
#include "server/policy/json_value.h"
#include "server/policy/openssl_free.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

constexpr size_t kMaxJwkCount = 64;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;  // A larger one costs much time, and nobody has it.
constexpr int kMaxRsaExponentBits = 64;
constexpr size_t kP256Bytes = 32;
constexpr size_t kMaxKidBytes = 256;

using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslFree<EVP_PKEY_free>>;
using PkeyCtxPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslFree<EVP_PKEY_CTX_free>>;
using BnPtr = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using ParamBldPtr = std::unique_ptr<OSSL_PARAM_BLD, OpensslFree<OSSL_PARAM_BLD_free>>;
using ParamsPtr = std::unique_ptr<OSSL_PARAM, OpensslFree<OSSL_PARAM_free>>;

// A public key that OpenSSL has checked; null: it is none.
PkeyPtr MakePkey(const char* type, OSSL_PARAM* params) {
  PkeyPtr key;
  const PkeyCtxPtr maker(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (maker != nullptr && EVP_PKEY_fromdata_init(maker.get()) == 1 &&
      EVP_PKEY_fromdata(maker.get(), &made, EVP_PKEY_PUBLIC_KEY, params) == 1) {
    key.reset(made);
    const PkeyCtxPtr checker(EVP_PKEY_CTX_new_from_pkey(nullptr, made, nullptr));
    if (checker == nullptr || EVP_PKEY_public_check(checker.get()) != 1) key.reset();
  }
  ERR_clear_error();
  return key;
}

BnPtr ToBignum(const std::string& bytes) {
  return BnPtr(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

// One key of a set.
class JwkReader final {
 public:
  JwkReader(std::string_view text, const JsonValue& key) : text_(text), key_(key) {}

  // The algorithm that it can verify; nothing: it is for something else.
  absl::StatusOr<std::optional<JwtAlgorithm>> ReadPurpose() const {
    if (key_.kind != JsonValue::Kind::kObject) return Bad(key_, "a key must be an object");
    for (const char* secret : {"d", "k"}) {
      if (const JsonValue* const member = key_.Find(secret)) {
        return Bad(*member, StrCat("`", secret, "` is a secret: only public keys belong here"));
      }
    }
    std::optional<std::string> kty, use, alg, crv;
    for (const auto& [name, out] : {std::pair("kty", &kty), {"use", &use}, {"alg", &alg}, {"crv", &crv}}) {
      if (absl::Status status = ReadMember(name, *out); !status.ok()) return status;
    }
    if (!kty) return Bad(key_, "`kty` is missing");
    const bool is_rsa = *kty == "RSA";
    if (!is_rsa && (*kty != "EC" || crv != "P-256")) return std::optional<JwtAlgorithm>();
    if (use.value_or("sig") != "sig") return std::optional<JwtAlgorithm>();
    if (alg && *alg != (is_rsa ? "RS256" : "ES256")) return std::optional<JwtAlgorithm>();
    const absl::StatusOr<bool> verifies = MayVerify();
    if (!verifies.ok()) return verifies.status();
    if (!*verifies) return std::optional<JwtAlgorithm>();
    return is_rsa ? JwtAlgorithm::kRs256 : JwtAlgorithm::kEs256;
  }

  absl::StatusOr<std::string> ReadKid() const {
    std::optional<std::string> kid;
    if (absl::Status status = ReadMember("kid", kid); !status.ok()) return status;
    if (!kid) return std::string();
    const bool is_printable = std::all_of(kid->begin(), kid->end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (kid->empty() || kid->size() > kMaxKidBytes || !is_printable) {
      return Bad(*key_.Find("kid"), StrCat("`kid` must be 1 to ", kMaxKidBytes, " printable ASCII characters"));
    }
    return *std::move(kid);
  }

  absl::StatusOr<PkeyPtr> ReadKey(JwtAlgorithm algorithm) const {
    return algorithm == JwtAlgorithm::kRs256 ? ReadRsa() : ReadP256();
  }

  absl::Status Bad(const JsonValue& where, std::string_view what) const {
    return absl::InvalidArgumentError(ToAbsl(StrCat(LineAndColumn(text_, where.offset_bytes), ": ", what)));
  }

 private:
  absl::Status ReadMember(std::string_view name, std::optional<std::string>& out) const {
    const JsonValue* const member = key_.Find(name);
    if (member == nullptr) return absl::OkStatus();
    if (member->kind != JsonValue::Kind::kString) return Bad(*member, StrCat("`", name, "` must be text"));
    out = member->text;
    return absl::OkStatus();
  }

  absl::StatusOr<bool> MayVerify() const {
    const JsonValue* const uses = key_.Find("key_ops");
    if (uses == nullptr) return true;
    if (uses->kind != JsonValue::Kind::kArray) return Bad(*uses, "`key_ops` must be an array of texts");
    return std::any_of(uses->elements.begin(), uses->elements.end(), [](const JsonValue& use) {
      return use.kind == JsonValue::Kind::kString && use.text == "verify";
    });
  }

  absl::StatusOr<std::string> ReadBytes(std::string_view name) const {
    std::optional<std::string> encoded;
    if (absl::Status status = ReadMember(name, encoded); !status.ok()) return status;
    if (!encoded) return Bad(key_, StrCat("`", name, "` is missing"));
    std::optional<std::string> bytes = DecodeBase64Url(*encoded);
    if (!bytes || bytes->empty()) {
      return Bad(*key_.Find(name), StrCat("`", name, "` must be base64url without padding"));
    }
    return *std::move(bytes);
  }

  absl::StatusOr<PkeyPtr> ReadRsa() const {
    const absl::StatusOr<std::string> modulus = ReadBytes("n");
    if (!modulus.ok()) return modulus.status();
    const absl::StatusOr<std::string> exponent = ReadBytes("e");
    if (!exponent.ok()) return exponent.status();
    const BnPtr n = ToBignum(*modulus);
    const BnPtr e = ToBignum(*exponent);
    if (BN_num_bits(n.get()) < kMinRsaBits || BN_num_bits(n.get()) > kMaxRsaBits) {
      return Bad(*key_.Find("n"), StrCat("an RSA key must have ", kMinRsaBits, " to ", kMaxRsaBits,
                                         " bits, this one has ", BN_num_bits(n.get())));
    }
    if (BN_num_bits(e.get()) > kMaxRsaExponentBits) {
      return Bad(*key_.Find("e"), StrCat("an RSA key's exponent must have at most ", kMaxRsaExponentBits, " bits"));
    }
    const ParamBldPtr builder(OSSL_PARAM_BLD_new());
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
    const ParamsPtr params(OSSL_PARAM_BLD_to_param(builder.get()));
    PkeyPtr key = MakePkey("RSA", params.get());
    if (key == nullptr) return Bad(key_, "`n` and `e` are no RSA key");
    return key;
  }

  absl::StatusOr<PkeyPtr> ReadP256() const {
    std::string point = "\x04";  // SEC 1, section 2.3.3: not compressed.
    for (const char* name : {"x", "y"}) {
      const absl::StatusOr<std::string> coordinate = ReadBytes(name);
      if (!coordinate.ok()) return coordinate.status();
      // RFC 7518, section 6.2.1.2: leading zeros stay.
      if (coordinate->size() != kP256Bytes) return Bad(*key_.Find(name), StrCat("`", name, "` must be 32 bytes"));
      point += *coordinate;
    }
    std::string group = "prime256v1";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size()),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
        OSSL_PARAM_construct_end(),
    };
    PkeyPtr key = MakePkey("EC", params);
    if (key == nullptr) return Bad(key_, "`x` and `y` are no point of P-256");
    return key;
  }

  const std::string_view text_;
  const JsonValue& key_;
};

}  // namespace

struct JwkSet::Key {
  std::string kid;  // Empty: it has none.
  JwtAlgorithm algorithm;
  PkeyPtr key;
};

JwkSet::JwkSet() = default;
JwkSet::JwkSet(JwkSet&&) noexcept = default;
JwkSet& JwkSet::operator=(JwkSet&&) noexcept = default;
JwkSet::~JwkSet() = default;

absl::StatusOr<JwkSet> JwkSet::Parse(std::string_view text) {
  if (text.size() > kMaxJwkSetBytes) return absl::InvalidArgumentError("1:1: a key set must be at most 1 MiB");
  const absl::StatusOr<JsonValue> json = ParseJson(text);
  if (!json.ok()) return json.status();
  const JsonValue* const keys = json->Find("keys");
  const JwkReader whole(text, *json);
  if (keys == nullptr || keys->kind != JsonValue::Kind::kArray) {
    return whole.Bad(keys != nullptr ? *keys : *json, "a JSON Web Key Set must be {\"keys\": […]}");
  }
  if (keys->elements.size() > kMaxJwkCount)
    return whole.Bad(*keys, StrCat("at most ", kMaxJwkCount, " keys are allowed"));
  JwkSet set;
  for (const JsonValue& element : keys->elements) {
    const JwkReader reader(text, element);
    const absl::StatusOr<std::optional<JwtAlgorithm>> algorithm = reader.ReadPurpose();
    if (!algorithm.ok()) return algorithm.status();
    if (!algorithm->has_value()) continue;
    absl::StatusOr<std::string> kid = reader.ReadKid();
    if (!kid.ok()) return kid.status();
    const bool is_known = std::any_of(set.keys_.begin(), set.keys_.end(), [&](const Key& other) {
      return !kid->empty() && other.kid == *kid && other.algorithm == **algorithm;
    });
    if (is_known) return reader.Bad(element, StrCat("`kid` \"", *kid, "\" is there twice"));
    absl::StatusOr<PkeyPtr> key = reader.ReadKey(**algorithm);
    if (!key.ok()) return key.status();
    set.keys_.push_back({*std::move(kid), **algorithm, *std::move(key)});
  }
  if (set.keys_.empty()) return whole.Bad(*keys, "no key is one that can verify RS256 or ES256");
  return set;
}

EVP_PKEY* JwkSet::Find(JwtAlgorithm algorithm, const std::optional<std::string>& kid) const {
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (key.algorithm != algorithm || (kid && (kid->empty() || key.kid != *kid))) continue;
    if (found != nullptr) return nullptr;
    found = &key;
  }
  return found != nullptr ? found->key.get() : nullptr;
}

}  // namespace transportd
