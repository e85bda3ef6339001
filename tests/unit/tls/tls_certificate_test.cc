#include "transports/tls/tls_certificate.h"

#include <openssl/pem.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/test_certificates.h"
#include "transports/tls/openssl_handles.h"

namespace transportd {
namespace {

using testing::ElementsAre;

X509Ptr Parse(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return X509Ptr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
}

TEST(ToTlsCertificate, TellsWhatPythonsGetpeercertTells) {
  const TestIdentity identity =
      SharedTestAuthority().Issue({.common_name = "Grüße",
                                   .alternative_names = {"DNS:a.test", "IP:10.1.2.3", "IP:fe80::1", "URI:https://x/y",
                                                         "email:me@a.test", "RID:1.2.3.4"}});
  const X509Ptr parsed = Parse(identity.chain_pem);
  const TlsCertificate certificate = ToTlsCertificate(parsed.get());
  const TlsNameAttribute organization{.name = "organizationName", .value = "transportd tests"};
  EXPECT_THAT(certificate.subject,
              ElementsAre(ElementsAre(organization), ElementsAre(TlsNameAttribute{"commonName", "Grüße"})));
  EXPECT_THAT(certificate.issuer, ElementsAre(ElementsAre(organization),
                                              ElementsAre(TlsNameAttribute{"commonName", "transportd test root"})));
  EXPECT_THAT(certificate.subject_alternative_names,
              ElementsAre(TlsAlternativeName{"DNS", "a.test"}, TlsAlternativeName{"IP Address", "10.1.2.3"},
                          TlsAlternativeName{"IP Address", "fe80::1"}, TlsAlternativeName{"URI", "https://x/y"},
                          TlsAlternativeName{"email", "me@a.test"}, TlsAlternativeName{"Registered ID", "1.2.3.4"}));
  EXPECT_EQ(certificate.version, 3);
  EXPECT_EQ(certificate.serial_number.find_first_not_of("0123456789ABCDEF"), std::string::npos);
  EXPECT_FALSE(certificate.serial_number.empty());
  EXPECT_EQ(certificate.not_after - certificate.not_before, std::chrono::days(32));
  EXPECT_EQ(ToPem(certificate), identity.chain_pem) << "DER, and from it PEM";
}

TEST(ToTlsCertificate, TakesACertificateWithoutAlternativeNames) {
  const TlsCertificate certificate = ToTlsCertificate(Parse(SharedTestAuthority().certificate_pem()).get());
  EXPECT_TRUE(certificate.subject_alternative_names.empty());
  EXPECT_EQ(certificate.subject, certificate.issuer);
}

}  // namespace
}  // namespace transportd
