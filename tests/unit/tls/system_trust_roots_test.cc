#include "transports/tls/system_trust_roots.h"

#include <openssl/x509.h>

#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/program.h"
#include "tests/support/test_certificates.h"

namespace transportd {
namespace {

int CertificateCount(SystemTrustRoots& roots) { return sk_X509_OBJECT_num(X509_STORE_get0_objects(roots.Get().get())); }

TEST(SystemTrustRoots, ReadsTheFileAndTheHashedFilesOfTheDirectory) {
  const TemporaryDirectory directory;
  const TestAuthority second("second"), third("third");
  const std::string file =
      directory.Write("bundle.crt", SharedTestAuthority().certificate_pem() + second.certificate_pem());
  directory.Write("0123abcd.0", third.certificate_pem());
  directory.Write("0123abcd.1", second.certificate_pem());
  directory.Write("0123abcd.r0", TestAuthority("a revocation list's name").certificate_pem());
  directory.Write("readme.txt", TestAuthority("another name").certificate_pem());
  SystemTrustRoots roots(file, directory.path());
  EXPECT_EQ(CertificateCount(roots), 3);
}

TEST(SystemTrustRoots, ReadsOnce) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("bundle.crt", SharedTestAuthority().certificate_pem());
  SystemTrustRoots roots(file, "");
  EXPECT_EQ(CertificateCount(roots), 1);
  std::remove(file.c_str());
  EXPECT_EQ(CertificateCount(roots), 1);
}

TEST(SystemTrustRoots, AreEmptyWhereThereAreNone) {
  SystemTrustRoots roots("/no/such/file", "/no/such/directory");
  EXPECT_EQ(CertificateCount(roots), 0);
}

}  // namespace
}  // namespace transportd
