#include "server/policy/identities_file.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "google/protobuf/util/time_util.h"
#include "server/policy/certificate_identity.h"
#include "server/policy/config_text.h"
#include "server/policy/principal.h"
#include "server/policy/token_table.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr size_t kMaxPrefixBytes = 64;

// The first field that is wrong; its message begins with the field's path.
class IdentitiesCheck final {
 public:
  static absl::Status Run(const v1::Identities& identities) {
    IdentitiesCheck check;
    if (identities.version() != "v1") return Wrong("version", "must be \"v1\"");
    for (int i = 0; i < identities.token_size(); ++i) {
      if (absl::Status status = check.Check(StrCat("token[", i, "]"), identities.token(i)); !status.ok()) return status;
    }
    for (int i = 0; i < identities.jwt_size(); ++i) {
      if (absl::Status status = check.Check(StrCat("jwt[", i, "]"), identities.jwt(i)); !status.ok()) return status;
    }
    return check.Check(identities.certificates());
  }

 private:
  static absl::Status Wrong(std::string_view field, std::string_view rule) {
    return absl::InvalidArgumentError(ToAbsl(StrCat(field, ": ", rule)));
  }

  absl::Status Check(const std::string& field, const v1::Token& token) {
    if (!IsPrincipal(token.principal())) return Wrong(field + ".principal", StrCat("must be ", kPrincipalRule));
    const auto hash = ParseSha256(token.sha256());
    if (!hash) return Wrong(field + ".sha256", "must be 64 hexadecimal digits: the SHA-256 of the token");
    if (!hashes_.insert(*hash).second) return Wrong(field + ".sha256", "is there twice");
    using google::protobuf::util::TimeUtil;
    const google::protobuf::Timestamp& end = token.not_after();
    if (end.seconds() < TimeUtil::kTimestampMinSeconds || end.seconds() > TimeUtil::kTimestampMaxSeconds ||
        end.nanos() < 0 || end.nanos() > 999'999'999) {
      return Wrong(field + ".not_after", "must be in the years 1 to 9999, nanos from 0 to 999999999");
    }
    return absl::OkStatus();
  }

  absl::Status Check(const std::string& field, const v1::JwtIssuer& issuer) {
    if (issuer.issuer().empty()) return Wrong(field + ".issuer", "must not be empty");
    if (!issuers_.insert(issuer.issuer()).second) return Wrong(field + ".issuer", "is there twice");
    const auto& audiences = issuer.audiences();
    if (audiences.empty()) return Wrong(field + ".audiences", "must have at least one");
    if (std::find(audiences.begin(), audiences.end(), "") != audiences.end()) {
      return Wrong(field + ".audiences", "must not be empty");
    }
    const std::string& file = issuer.jwks_file();
    if (file.empty() || file.find('\0') != std::string::npos) {
      return Wrong(field + ".jwks_file", "must be the path of a file");
    }
    return CheckPrefix(field + ".principal_prefix", issuer.principal_prefix());
  }

  absl::Status CheckPrefix(const std::string& field, const std::string& prefix) {
    if (!IsPrincipal(prefix) || prefix.size() > kMaxPrefixBytes || prefix.back() != ':') {
      return Wrong(field, "must be 1 to 64 printable ASCII characters, no space, with `:` at the end");
    }
    if (absl::StartsWith(prefix, "spiffe:") || absl::StartsWith(prefix, "dns:")) {
      return Wrong(field, "must not begin with `spiffe:` or `dns:`: those are certificates' principals");
    }
    for (const std::string& other : prefixes_) {
      if (absl::StartsWith(prefix, other) || absl::StartsWith(other, prefix)) {
        return Wrong(field, StrCat("must not begin with `", std::min(prefix, other),
                                   "`, another issuer's: that one could make principals of this one"));
      }
    }
    prefixes_.insert(prefix);
    return absl::OkStatus();
  }

  absl::Status Check(const v1::ClientCertificates& certificates) {
    std::set<std::string> seen;
    for (int i = 0; i < certificates.trust_domains_size(); ++i) {
      const std::string& domain = certificates.trust_domains(i);
      const std::string field = StrCat("certificates.trust_domains[", i, "]");
      if (!IsTrustDomain(domain)) {
        return Wrong(field, "must be 1 to 255 of a-z, 0-9, `.`, `-` and `_`, without `spiffe://`");
      }
      if (!seen.insert(domain).second) return Wrong(field, "is there twice");
    }
    return absl::OkStatus();
  }

  std::set<Sha256Hash> hashes_;
  std::set<std::string> issuers_;
  std::set<std::string> prefixes_;
};

}  // namespace

absl::StatusOr<v1::Identities> ReadIdentities(std::string_view text, std::string_view file_name) {
  v1::Identities identities;
  if (absl::Status status = ReadConfigText(text, file_name, identities); !status.ok()) return status;
  if (absl::Status status = IdentitiesCheck::Run(identities); !status.ok()) {
    return absl::InvalidArgumentError(ToAbsl(StrCat(file_name, ": ", std::string(status.message()))));
  }
  return identities;
}

}  // namespace transportd
