#include "server/policy/file_identifier.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "server/policy/config_file.h"
#include "server/policy/config_text.h"
#include "server/policy/identities_file.h"
#include "server/policy/identity.h"
#include "server/policy/jwt.h"
#include "server/policy/principal.h"
#include "server/policy/token_table.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

absl::Status InvalidCredentials(std::string_view message) {
  return MakeError(absl::StatusCode::kUnauthenticated, "INVALID_CREDENTIALS", message);
}

// RFC 6750, section 2.1: `Bearer TOKEN`; the scheme's case does not matter. Nothing: it is something else.
std::optional<std::string_view> BearerToken(std::string_view value) {
  constexpr std::string_view kScheme = "bearer";
  if (!absl::EqualsIgnoreCase(ToAbsl(value.substr(0, kScheme.size())), ToAbsl(kScheme))) return {};
  value.remove_prefix(kScheme.size());
  const size_t spaces = std::min(value.find_first_not_of(' '), value.size());
  value.remove_prefix(spaces);
  const bool is_printable = std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (spaces == 0 || value.empty() || !is_printable) return {};
  return value;
}

// Whoever is shown first is the caller; all others must be the same.
class CallerBuilder final {
 public:
  explicit CallerBuilder(std::string_view peer) { caller_.peer = DecodedPeer(peer); }

  // False: it is another one.
  bool Add(std::string principal, std::string_view method, std::string_view credential) {
    if (!caller_.principal.empty()) {
      if (caller_.principal != principal) return false;
      caller_.method += '+';
      caller_.credential += '+';
    }
    caller_.principal = std::move(principal);
    caller_.method += method;
    caller_.credential += credential;
    return true;
  }

  bool is_empty() const { return caller_.principal.empty(); }
  Caller Take() { return std::move(caller_); }

 private:
  Caller caller_;
};

}  // namespace

struct FileIdentifier::Identities {
  TokenTable tokens;
  std::vector<TrustedIssuer> issuers;
  v1::ClientCertificates certificates;
};

FileIdentifier::FileIdentifier(std::string file, Date date) : file_(std::move(file)), date_(std::move(date)) {}
FileIdentifier::~FileIdentifier() = default;

absl::StatusOr<std::unique_ptr<FileIdentifier>> FileIdentifier::Create(std::string file, Date date) {
  std::unique_ptr<FileIdentifier> identifier(new FileIdentifier(std::move(file), std::move(date)));
  if (absl::Status status = identifier->Reload(); !status.ok()) return status;
  return identifier;
}

absl::StatusOr<std::shared_ptr<const FileIdentifier::Identities>> FileIdentifier::Load(
    const std::string& file, std::vector<std::string>& files) {
  auto loaded = std::make_shared<Identities>();
  if (file.empty()) return loaded;
  files.push_back(file);
  const absl::StatusOr<std::string> text = ReadConfigFile(file, kMaxConfigBytes);
  if (!text.ok()) return text.status();
  const absl::StatusOr<v1::Identities> identities = ReadIdentities(*text, file);
  if (!identities.ok()) return identities.status();
  loaded->tokens = TokenTable(identities->token());
  loaded->certificates = identities->certificates();
  for (const v1::JwtIssuer& issuer : identities->jwt()) files.push_back(issuer.jwks_file());
  for (const v1::JwtIssuer& issuer : identities->jwt()) {
    const absl::StatusOr<std::string> set_text = ReadConfigFile(issuer.jwks_file(), kMaxJwkSetBytes);
    if (!set_text.ok()) return set_text.status();
    absl::StatusOr<JwkSet> keys = JwkSet::Parse(*set_text);
    if (!keys.ok()) {
      return absl::InvalidArgumentError(ToAbsl(StrCat(issuer.jwks_file(), ":", std::string(keys.status().message()))));
    }
    loaded->issuers.push_back({issuer.issuer(),
                               {issuer.audiences().begin(), issuer.audiences().end()},
                               issuer.principal_prefix(),
                               *std::move(keys)});
  }
  return loaded;
}

absl::Status FileIdentifier::Reload() {
  const MutexLock reload_lock(reload_mutex_);
  std::vector<std::string> files;
  absl::StatusOr<std::shared_ptr<const Identities>> loaded = Load(file_, files);
  const MutexLock lock(mutex_);
  if (!loaded.ok()) {
    rejected_files_ = std::move(files);
    return loaded.status();
  }
  identities_.swap(*loaded);
  files_ = std::move(files);
  rejected_files_.clear();
  return absl::OkStatus();
}

std::shared_ptr<const FileIdentifier::Identities> FileIdentifier::Current() const {
  const MutexLock lock(mutex_);
  return identities_;
}

std::vector<std::string> FileIdentifier::Files() const {
  const MutexLock lock(mutex_);
  std::vector<std::string> files = files_;
  for (const std::string& file : rejected_files_) {
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }
  return files;
}

absl::StatusOr<Caller> FileIdentifier::Identify(const Credentials& credentials) const {
  const std::shared_ptr<const Identities> identities = Current();
  const auto another = [] { return InvalidCredentials("the credentials are of different principals"); };
  CallerBuilder caller(credentials.peer);
  if (!credentials.listener_principal.value_or("").empty()) {
    static_cast<void>(caller.Add(*credentials.listener_principal, "unix", ""));
  }
  if (credentials.certificate) {
    absl::StatusOr<std::string> principal = CertificatePrincipal(*credentials.certificate, identities->certificates);
    if (!principal.ok()) return InvalidCredentials(std::string(principal.status().message()));
    if (!caller.Add(*std::move(principal), "certificate", credentials.certificate->serial)) return another();
  }
  if (credentials.authorization.size() > 1) {
    return InvalidCredentials("more than one `authorization` is there; one is allowed");
  }
  if (!credentials.authorization.empty()) {
    const std::optional<std::string_view> token = BearerToken(credentials.authorization.front());
    if (!token) return InvalidCredentials("`authorization` must be `Bearer TOKEN`");
    if (token->size() > kMaxJwtBytes) return InvalidCredentials("the bearer token is longer than 16 KiB");
    const auto now = date_();
    if (std::optional<TokenOwner> owner = identities->tokens.Find(*token, now)) {
      if (!caller.Add(std::move(owner->principal), "token", owner->hash_prefix)) return another();
    } else if (!identities->issuers.empty() && LooksLikeJwt(*token)) {
      absl::StatusOr<JwtIdentity> identity = VerifyJwt(*token, identities->issuers, now);
      if (!identity.ok()) return InvalidCredentials(std::string(identity.status().message()));
      if (!caller.Add(std::move(identity->principal), "jwt", identity->key_id)) return another();
    } else {
      return InvalidCredentials("the bearer token is not known, or not any longer");
    }
  }
  if (caller.is_empty()) {
    return MakeError(
        absl::StatusCode::kUnauthenticated, "NO_PRINCIPAL",
        "the caller was not identified: neither a client certificate nor `authorization: Bearer TOKEN` is there");
  }
  return caller.Take();
}

}  // namespace transportd
