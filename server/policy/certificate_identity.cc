#include "server/policy/certificate_identity.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "server/policy/ascii.h"
#include "server/policy/openssl_free.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr std::string_view kSpiffeScheme = "spiffe://";
constexpr size_t kMaxSpiffeIdBytes = 2048;
constexpr size_t kMaxTrustDomainBytes = 255;
constexpr size_t kMaxDnsNameBytes = 253;
constexpr size_t kMaxDnsLabelBytes = 63;

void FreeOpensslText(char* text) { OPENSSL_free(text); }
using MemoryBioPtr = std::unique_ptr<BIO, OpensslFree<BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, OpensslFree<X509_free>>;
using SerialPtr = std::unique_ptr<BIGNUM, OpensslFree<BN_free>>;
using OpensslTextPtr = std::unique_ptr<char, OpensslFree<FreeOpensslText>>;
using AlternativeNamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;

bool IsLowerOrDigit(char c) { return IsLower(c) || IsDigit(c); }
bool IsLetterOrDigit(char c) { return IsLowerOrDigit(c) || IsUpper(c); }

std::string_view TrustDomainOf(std::string_view spiffe_id) {
  spiffe_id.remove_prefix(kSpiffeScheme.size());
  return spiffe_id.substr(0, spiffe_id.find('/'));
}

bool IsSpiffeSegment(std::string_view segment) {
  return !segment.empty() && segment != "." && segment != ".." &&
         std::all_of(segment.begin(), segment.end(), [](char c) { return IsLetterOrDigit(c) || IsOneOf(c, ".-_"); });
}

// RFC 1123, section 2.1; no wildcard: that is no one's name.
bool IsDnsLabel(std::string_view label) {
  return !label.empty() && label.size() <= kMaxDnsLabelBytes && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), [](char c) { return IsLetterOrDigit(c) || IsOneOf(c, "-_"); });
}

template <typename IsPart>
bool AllParts(std::string_view text, char separator, IsPart is_part) {
  for (;;) {
    const size_t end = text.find(separator);
    if (!is_part(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

absl::Status BadCertificate(std::string_view what) {
  return absl::UnauthenticatedError(ToAbsl(StrCat("the client certificate ", what)));
}

std::string Characters(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
}

std::string SerialDigits(X509* certificate) {
  const SerialPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  const OpensslTextPtr digits(number != nullptr ? BN_bn2hex(number.get()) : nullptr);
  return digits != nullptr ? absl::AsciiStrToLower(digits.get()) : std::string();
}

}  // namespace

absl::StatusOr<CertificateNames> ReadCertificateNames(std::string_view pem) {
  const MemoryBioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<size_t>(pem.size(), INT32_MAX))));
  const CertificatePtr certificate(bio != nullptr ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  if (certificate == nullptr) return absl::InvalidArgumentError("no certificate in PEM");
  CertificateNames names;
  names.serial = SerialDigits(certificate.get());
  // UINT32_MAX: it does not say what its key is for.
  const uint32_t uses = X509_get_key_usage(certificate.get());
  names.is_authority = (X509_get_extension_flags(certificate.get()) & EXFLAG_CA) != 0 ||
                       (uses != UINT32_MAX && (uses & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0);
  int found = 0;
  const AlternativeNamesPtr all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, &found, nullptr)));
  ERR_clear_error();
  constexpr int kNoExtension = -1;
  if (all == nullptr && found != kNoExtension) {
    return absl::InvalidArgumentError("the certificate's alternative names cannot be read");
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(all.get(), i);
    if (name->type == GEN_URI) names.uris.push_back(Characters(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) names.dns_names.push_back(Characters(name->d.dNSName));
  }
  return names;
}

absl::StatusOr<std::string> CertificatePrincipal(const CertificateNames& names, const v1::ClientCertificates& rules) {
  if (names.is_authority) return BadCertificate("is a certificate authority's own");
  if (names.uris.size() > 1) return BadCertificate("has more than one URI");
  if (names.uris.size() == 1) {
    const std::string& id = names.uris.front();
    if (!IsSpiffeId(id)) return BadCertificate("has a URI that is no SPIFFE ID of a workload");
    const auto& domains = rules.trust_domains();
    if (!domains.empty() && std::find(domains.begin(), domains.end(), TrustDomainOf(id)) == domains.end()) {
      return BadCertificate("is of a trust domain that is not known here");
    }
    return id;
  }
  if (!rules.dns_names()) return BadCertificate("has no SPIFFE ID");
  if (names.dns_names.size() != 1) return BadCertificate("must have a SPIFFE ID or exactly one DNS name");
  const std::string& name = names.dns_names.front();
  if (name.size() > kMaxDnsNameBytes || !AllParts(name, '.', IsDnsLabel)) {
    return BadCertificate("has a DNS name that is none of a host");
  }
  return "dns:" + absl::AsciiStrToLower(name);
}

bool IsSpiffeId(std::string_view uri) {
  if (uri.size() > kMaxSpiffeIdBytes || uri.substr(0, kSpiffeScheme.size()) != kSpiffeScheme) return false;
  const std::string_view domain = TrustDomainOf(uri);
  const std::string_view path = uri.substr(kSpiffeScheme.size() + domain.size());
  return IsTrustDomain(domain) && !path.empty() && AllParts(path.substr(1), '/', IsSpiffeSegment);
}

bool IsTrustDomain(std::string_view name) {
  return !name.empty() && name.size() <= kMaxTrustDomainBytes &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsLowerOrDigit(c) || IsOneOf(c, ".-_"); });
}

}  // namespace transportd
