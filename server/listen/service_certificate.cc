#include "server/listen/service_certificate.h"

#include <openssl/asn1.h>
#include <openssl/pem.h>

#include <ctime>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/policy/config_file.h"
#include "transports/api/error.h"
#include "transports/api/tls_options.h"
#include "transports/base/str_cat.h"
#include "transports/tls/openssl_handles.h"
#include "transports/tls/tls_context.h"

namespace transportd {
namespace {

using std::chrono::system_clock;

absl::Status BadFile(const std::string& file, absl::string_view what) {
  return InvalidArgument("BAD_CONFIGURATION", "", StrCat(file, ": ", std::string(what)));
}

absl::StatusOr<system_clock::time_point> ToTime(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) {
    return InvalidArgument("BAD_CONFIGURATION", "", "a date that is none");
  }
  return system_clock::from_time_t(::timegm(&parts));
}

std::string ToText(system_clock::time_point time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time), absl::UTCTimeZone());
}

// Which file an error of TlsContext is about, by its field.
const std::string& FileOf(const ServiceCertificateFiles& files, const absl::Status& status) {
  const std::string field = ToTransportError(status).field;
  if (field.find("trust") != std::string::npos) return files.client_ca;
  if (field.find("key") != std::string::npos) return files.key;
  return files.certificate;
}

}  // namespace

absl::StatusOr<ServiceCertificate> ReadServiceCertificate(const ServiceCertificateFiles& files,
                                                          system_clock::time_point now) {
  ServiceCertificate certificate;
  for (const auto& [path, contents] : {std::tuple{&files.certificate, &certificate.certificate_chain_pem},
                                       {&files.key, &certificate.private_key_pem},
                                       {&files.client_ca, &certificate.client_ca_pem}}) {
    if (path->empty()) continue;
    absl::StatusOr<std::string> read = ReadConfigFile(*path, kMaxPemFileBytes);
    if (!read.ok()) return read.status();  // The kernel's, too: it may be worth another attempt.
    *contents = *std::move(read);
  }
  TlsOptions options;
  options.certificate_chain_pem = certificate.certificate_chain_pem;
  options.private_key_pem = certificate.private_key_pem;
  if (!files.client_ca.empty()) {
    options.verify_mode = TlsVerifyMode::kOptional;
    options.trust_roots_pem = certificate.client_ca_pem;
  }
  if (const auto context = TlsContext::Create(options, TlsSide::kServer, nullptr); !context.ok()) {
    return BadFile(FileOf(files, context.status()), context.status().message());
  }
  const BioPtr bio(BIO_new_mem_buf(certificate.certificate_chain_pem.data(),
                                   static_cast<int>(certificate.certificate_chain_pem.size())));
  const X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (leaf == nullptr) return BadFile(files.certificate, "no certificate");
  const auto not_before = ToTime(X509_get0_notBefore(leaf.get()));
  const auto not_after = ToTime(X509_get0_notAfter(leaf.get()));
  if (!not_before.ok() || !not_after.ok()) return BadFile(files.certificate, "its dates are none");
  if (now < *not_before) return BadFile(files.certificate, StrCat("not valid before ", ToText(*not_before)));
  if (now > *not_after) return BadFile(files.certificate, StrCat("expired on ", ToText(*not_after)));
  certificate.not_after = *not_after;
  return certificate;
}

absl::StatusOr<std::unique_ptr<ServiceCertificateStore>> ServiceCertificateStore::Create(
    ServiceCertificateFiles files) {
  // lint: allow date: certificates are valid by the wall clock.
  absl::StatusOr<ServiceCertificate> certificate = ReadServiceCertificate(files, system_clock::now());
  if (!certificate.ok()) return certificate.status();
  return std::unique_ptr<ServiceCertificateStore>(
      new ServiceCertificateStore(std::move(files), *std::move(certificate)));
}

ServiceCertificateStore::ServiceCertificateStore(ServiceCertificateFiles files, ServiceCertificate certificate)
    : files_(std::move(files)), current_(std::make_shared<const ServiceCertificate>(std::move(certificate))) {}

std::shared_ptr<const ServiceCertificate> ServiceCertificateStore::current() const {
  MutexLock lock(mutex_);
  return current_;
}

absl::Status ServiceCertificateStore::Reload() {
  // lint: allow date: certificates are valid by the wall clock.
  absl::StatusOr<ServiceCertificate> certificate = ReadServiceCertificate(files_, system_clock::now());
  if (!certificate.ok()) return certificate.status();
  auto read = std::make_shared<const ServiceCertificate>(*std::move(certificate));
  MutexLock lock(mutex_);
  current_ = std::move(read);
  return absl::OkStatus();
}

}  // namespace transportd
