// Certificates made for a test.
#ifndef TRANSPORTD_TESTS_SUPPORT_TEST_CERTIFICATES_H_
#define TRANSPORTD_TESTS_SUPPORT_TEST_CERTIFICATES_H_

#include <memory>
#include <string>
#include <vector>

namespace transportd {

// A certificate, and those between it and the root when there are some, with its key: both PEM.
struct TestIdentity {
  std::string chain_pem;
  std::string key_pem;
};

struct TestCertificateOptions {
  std::string common_name = "localhost";
  std::vector<std::string> alternative_names = {"DNS:localhost", "IP:127.0.0.1", "IP:::1"};
  bool expired = false;
};

// Signs others. Keys are of NIST P-256. Threading: the test's thread.
class TestAuthority final {
 public:
  // A root. Its certificate does not expire while a test runs.
  explicit TestAuthority(const std::string& common_name);
  TestAuthority(TestAuthority&&) noexcept;
  ~TestAuthority();

  const std::string& certificate_pem() const { return certificate_pem_; }
  TestIdentity Issue(const TestCertificateOptions& options = {}) const;
  // An authority below this one: what it issues comes with its own certificate.
  TestAuthority IssueAuthority(const std::string& common_name) const;

  // Signed by itself.
  static TestIdentity SelfSigned(const TestCertificateOptions& options = {});

 private:
  struct Keys;

  TestAuthority();

  std::unique_ptr<Keys> keys_;
  std::string certificate_pem_;
  std::string above_pem_;  // What goes with what it issues; empty for a root.
};

// A root that the whole test program shares, and an identity of "localhost" that it signed.
const TestAuthority& SharedTestAuthority();
const TestIdentity& SharedTestIdentity();

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_TEST_CERTIFICATES_H_
