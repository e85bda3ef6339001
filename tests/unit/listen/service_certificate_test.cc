#include "server/listen/service_certificate.h"

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using std::chrono::system_clock;
using testing::HasSubstr;

// lint: allow date: certificates are valid by the wall clock.
system_clock::time_point Now() { return system_clock::now(); }

class ServiceCertificateTest : public testing::Test {
 protected:
  // Whoever reads it finds the pair, and the CA, of what was written last.
  ServiceCertificateFiles Write(const TestIdentity& identity, const std::string& ca = "") {
    ServiceCertificateFiles files;
    files.certificate = folder_.WriteFile("tls.crt", identity.chain_pem);
    files.key = folder_.WriteFile("tls.key", identity.key_pem);
    if (!ca.empty()) files.client_ca = folder_.WriteFile("ca.crt", ca);
    return files;
  }
  static std::string Refusal(const ServiceCertificateFiles& files, system_clock::time_point now = Now()) {
    const auto certificate = ReadServiceCertificate(files, now);
    EXPECT_THAT(certificate, HasReason("BAD_CONFIGURATION"));
    return std::string(certificate.status().message());
  }

  const TempDir folder_;
};

TEST_F(ServiceCertificateTest, IsReadWhole) {
  const auto certificate =
      ReadServiceCertificate(Write(SharedTestIdentity(), SharedTestAuthority().certificate_pem()), Now());
  ASSERT_THAT(certificate, IsOk());
  EXPECT_EQ(certificate->certificate_chain_pem, SharedTestIdentity().chain_pem);
  EXPECT_EQ(certificate->private_key_pem, SharedTestIdentity().key_pem);
  EXPECT_EQ(certificate->client_ca_pem, SharedTestAuthority().certificate_pem());
  EXPECT_GT(certificate->not_after, Now());
}

TEST_F(ServiceCertificateTest, AFileThatIsNotThereIsNamed) {
  ServiceCertificateFiles files = Write(SharedTestIdentity());
  files.key = folder_.path() + "/none";
  const auto certificate = ReadServiceCertificate(files, Now());
  EXPECT_THAT(certificate, HasReason("ENOENT"));  // The kernel's word, by which others see what may pass.
  EXPECT_EQ(certificate.status().message(), StrCat("open ", files.key, ": No such file or directory"));
}

TEST_F(ServiceCertificateTest, HalvesOfTwoPairsAreRefused) {
  ServiceCertificateFiles files = Write(SharedTestIdentity());
  folder_.WriteFile("tls.key", SharedTestAuthority().Issue().key_pem);
  EXPECT_THAT(Refusal(files), HasSubstr("tls.key"));
}

TEST_F(ServiceCertificateTest, HalfAFileIsRefused) {
  const ServiceCertificateFiles files = Write(SharedTestIdentity(), SharedTestAuthority().certificate_pem());
  for (const char* name : {"tls.crt", "tls.key", "ca.crt"}) {
    Write(SharedTestIdentity(), SharedTestAuthority().certificate_pem());
    folder_.WriteFile(name, "-----BEGIN CERTIFICATE-----\nMII");
    EXPECT_THAT(Refusal(files), HasSubstr(name));
    folder_.WriteFile(name, "");
    EXPECT_THAT(Refusal(files), HasSubstr(name));
  }
}

TEST_F(ServiceCertificateTest, ACertificateIsRefusedOutsideItsTime) {
  const ServiceCertificateFiles files = Write(SharedTestIdentity());
  EXPECT_THAT(Refusal(files, Now() + std::chrono::years(200)), HasSubstr("expired on"));
  EXPECT_THAT(Refusal(files, Now() - std::chrono::years(20)), HasSubstr("not valid before"));
  EXPECT_THAT(Refusal(Write(SharedTestAuthority().Issue({.expired = true}))), HasSubstr("expired on"));
}

TEST_F(ServiceCertificateTest, TheStoreKeepsTheLastGoodOne) {
  auto store = ServiceCertificateStore::Create(Write(SharedTestIdentity()));
  ASSERT_THAT(store, IsOk());
  const auto first = (*store)->current();

  const TestIdentity next = SharedTestAuthority().Issue();
  folder_.WriteFile("tls.crt", next.chain_pem);
  EXPECT_THAT((*store)->Reload(), HasReason("BAD_CONFIGURATION"));
  EXPECT_EQ((*store)->current(), first);

  folder_.WriteFile("tls.key", next.key_pem);
  EXPECT_THAT((*store)->Reload(), IsOk());
  EXPECT_EQ((*store)->current()->certificate_chain_pem, next.chain_pem);
}

}  // namespace
}  // namespace transportd
