#include "server/ops/certificate_status.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "transports/tls/openssl_handles.h"

namespace transportd {
namespace {

void SetTime(const ASN1_TIME* time, google::protobuf::Timestamp& out) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) == 1) out.set_seconds(::timegm(&parts));
}

std::string Subject(const X509& certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(&certificate), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size_bytes = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size_bytes)};
}

}  // namespace

v1::CertificateStatus DescribeCertificate(std::string_view name, const std::string& pem) {
  v1::CertificateStatus status;
  status.set_name(std::string(name));
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const X509Ptr leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (leaf == nullptr) return status;
  status.set_subject(Subject(*leaf));
  SetTime(X509_get0_notBefore(leaf.get()), *status.mutable_not_before());
  SetTime(X509_get0_notAfter(leaf.get()), *status.mutable_not_after());
  return status;
}

}  // namespace transportd
