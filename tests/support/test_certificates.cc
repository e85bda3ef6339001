#include "tests/support/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <utility>

#include "transports/base/check.h"

namespace transportd {
namespace {

constexpr long kDaySeconds = 24 * 60 * 60;

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string ToPem(X509* certificate) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return Contents(bio.get());
}

std::string ToPem(EVP_PKEY* key) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  CHECK(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return Contents(bio.get());
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  CHECK(extension != nullptr);
  CHECK(X509_add_ext(certificate, extension.get(), -1) == 1);
}

}  // namespace

struct TestAuthority::Keys {
  Owned<X509> certificate;
  Owned<EVP_PKEY> key;

  // `issuer` null: signed by itself.
  static Keys Make(const TestCertificateOptions& options, const Keys* issuer, bool is_authority) {
    static long last_serial = 4095;
    Keys made{Owned<X509>(X509_new()), Owned<EVP_PKEY>(EVP_EC_gen("P-256"))};
    X509* const certificate = made.certificate.get();
    CHECK(X509_set_version(certificate, X509_VERSION_3) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++last_serial) == 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * kDaySeconds);
    X509_gmtime_adj(X509_getm_notAfter(certificate), options.expired ? -kDaySeconds : 30 * kDaySeconds);
    CHECK(X509_set_pubkey(certificate, made.key.get()) == 1);
    X509_NAME* const name = X509_get_subject_name(certificate);
    const auto add = [name](const char* field, const std::string& value) {
      CHECK(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                                       static_cast<int>(value.size()), -1, 0) == 1);
    };
    add("O", "transportd tests");
    add("CN", options.common_name);
    X509* const signer = issuer != nullptr ? issuer->certificate.get() : certificate;
    CHECK(X509_set_issuer_name(certificate, X509_get_subject_name(signer)) == 1);
    AddExtension(certificate, signer, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    AddExtension(certificate, signer, NID_subject_key_identifier, "hash");
    if (is_authority) AddExtension(certificate, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
    std::string names;
    for (const std::string& alternative : options.alternative_names) {
      names.append(names.empty() ? "" : ",").append(alternative);
    }
    if (!names.empty() && !is_authority) AddExtension(certificate, signer, NID_subject_alt_name, names);
    CHECK(X509_sign(certificate, issuer != nullptr ? issuer->key.get() : made.key.get(), EVP_sha256()) > 0);
    return made;
  }
};

TestAuthority::TestAuthority() = default;
TestAuthority::TestAuthority(TestAuthority&&) noexcept = default;
TestAuthority::~TestAuthority() = default;

TestAuthority::TestAuthority(const std::string& common_name)
    : keys_(std::make_unique<Keys>(Keys::Make({.common_name = common_name, .alternative_names = {}}, nullptr, true))),
      certificate_pem_(ToPem(keys_->certificate.get())) {}

TestIdentity TestAuthority::Issue(const TestCertificateOptions& options) const {
  const Keys made = Keys::Make(options, keys_.get(), false);
  return {.chain_pem = ToPem(made.certificate.get()) + above_pem_, .key_pem = ToPem(made.key.get())};
}

TestAuthority TestAuthority::IssueAuthority(const std::string& common_name) const {
  TestAuthority below;
  below.keys_ =
      std::make_unique<Keys>(Keys::Make({.common_name = common_name, .alternative_names = {}}, keys_.get(), true));
  below.certificate_pem_ = ToPem(below.keys_->certificate.get());
  below.above_pem_ = below.certificate_pem_ + above_pem_;
  return below;
}

TestIdentity TestAuthority::SelfSigned(const TestCertificateOptions& options) {
  const Keys made = Keys::Make(options, nullptr, false);
  return {.chain_pem = ToPem(made.certificate.get()), .key_pem = ToPem(made.key.get())};
}

const TestAuthority& SharedTestAuthority() {
  static const auto* const authority = new TestAuthority("transportd test root");
  return *authority;
}

const TestIdentity& SharedTestIdentity() {
  static const auto* const identity = new TestIdentity(SharedTestAuthority().Issue());
  return *identity;
}

}  // namespace transportd
