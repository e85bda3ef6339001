#include "clients/cpp/transportctl/tls_files.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace transportd::ctl {
namespace {

using testing::HasSubstr;

constexpr char kCertificate[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
constexpr char kKey[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

class TlsFilesTest : public testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& content) { return folder_.WriteFile(name, content); }

  static std::string ErrorOf(const TlsArguments& arguments) {
    const auto options = ReadTlsFiles(arguments, false);
    return options.ok() ? "" : std::string(options.status().message());
  }

 private:
  const TempDir folder_;
};

TEST_F(TlsFilesTest, FilesAreSentAsTheyAre) {
  TlsArguments arguments;
  arguments.cacert_file = File("roots", std::string("a comment\n") + kCertificate);
  arguments.cert_file = File("certificate", kCertificate);
  arguments.key_file = File("key", kKey);
  arguments.servername = "example.org";
  arguments.alpn_protocols = {"h2"};
  const auto client = ReadTlsFiles(arguments, false);
  ASSERT_THAT(client, IsOk());
  EXPECT_EQ(client->trust_roots_pem, std::string("a comment\n") + kCertificate);
  EXPECT_EQ(client->certificate_chain_pem, kCertificate);
  EXPECT_EQ(client->private_key_pem, kKey);
  EXPECT_EQ(client->server_hostname, "example.org");
  EXPECT_THAT(client->alpn_protocols, testing::ElementsAre("h2"));
  EXPECT_EQ(client->verify_mode, TlsVerifyMode::kRequired);
}

TEST_F(TlsFilesTest, TheKeyMayBeInTheCertificatesFile) {
  const std::string both = std::string(kCertificate) + kKey;
  const auto options = ReadTlsFiles({.cert_file = File("both", both)}, true);
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->certificate_chain_pem, both);
  EXPECT_EQ(options->private_key_pem, "");
  const std::string certificate = File("certificate", kCertificate);
  EXPECT_THAT(ErrorOf({.cert_file = certificate}),
              HasSubstr("--cert " + certificate + ": it must be PEM, with -----BEGIN PRIVATE KEY----- in it; give"));
  const std::string encrypted =
      File("encrypted", std::string(kCertificate) + "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
  EXPECT_THAT(ErrorOf({.cert_file = encrypted}), HasSubstr("its key must not be encrypted"));
}

TEST_F(TlsFilesTest, AnIdentityIsTheServices) {
  const auto options = ReadTlsFiles({.identity = "name"}, true);
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->identity, "name");
  EXPECT_EQ(options->certificate_chain_pem, "");
}

TEST_F(TlsFilesTest, WhoIsVerified) {
  EXPECT_EQ(ReadTlsFiles({}, false)->verify_mode, TlsVerifyMode::kRequired);
  EXPECT_EQ(ReadTlsFiles({.insecure = true}, false)->verify_mode, TlsVerifyMode::kNone);
  EXPECT_EQ(ReadTlsFiles({}, true)->verify_mode, TlsVerifyMode::kNone);
  EXPECT_EQ(ReadTlsFiles({.cacert_file = File("roots", kCertificate)}, true)->verify_mode, TlsVerifyMode::kRequired);
}

TEST_F(TlsFilesTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(ErrorOf({.cacert_file = "/no/such/file"}), HasSubstr("--cacert: open /no/such/file: No such file"));
  EXPECT_THAT(ErrorOf({.cacert_file = "/"}), HasSubstr("--cacert: read /: Is a directory"));
  EXPECT_THAT(ErrorOf({.cacert_file = File("key", kKey)}), HasSubstr("must be PEM, with -----BEGIN CERTIFICATE-----"));
  EXPECT_THAT(ErrorOf({.cacert_file = File("long", kCertificate + std::string(1 << 20, 'x'))}), HasSubstr("1 MiB"));
  const std::string certificate = File("certificate", kCertificate);
  EXPECT_THAT(ErrorOf({.cert_file = certificate, .key_file = certificate}), HasSubstr("-----BEGIN PRIVATE KEY-----"));
  const std::string encrypted = File("encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
  EXPECT_THAT(ErrorOf({.cert_file = certificate, .key_file = encrypted}),
              HasSubstr("--key " + encrypted + ": its key must not be encrypted"));
}

}  // namespace
}  // namespace transportd::ctl
