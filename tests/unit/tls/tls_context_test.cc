#include "transports/tls/tls_context.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_certificates.h"
#include "tests/unit/tls/tls_fixture.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

absl::Status StatusOf(const TlsOptions& options, TlsSide side) {
  return TlsContext::Create(options, side, nullptr).status();
}

struct BadCase {
  const char* name;
  TlsSide side;
  void (*spoil)(TlsOptions&);
  const char* reason;
  const char* field;
};

class TlsContextBadOptionsTest : public testing::TestWithParam<BadCase> {};

TEST_P(TlsContextBadOptionsTest, AreRefusedByField) {
  TlsOptions options = GetParam().side == TlsSide::kServer ? ServerTls() : ClientTls();
  EXPECT_THAT(StatusOf(options, GetParam().side), IsOk());
  GetParam().spoil(options);
  const absl::Status status = StatusOf(options, GetParam().side);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(status, HasReason(GetParam().reason));
  EXPECT_EQ(ToTransportError(status).field, GetParam().field);
}

constexpr TlsSide kClient = TlsSide::kClient;
constexpr TlsSide kServer = TlsSide::kServer;

INSTANTIATE_TEST_SUITE_P(
    , TlsContextBadOptionsTest,
    testing::Values(
        BadCase{"NoCertificate", kServer, [](TlsOptions& o) { o.certificate_chain_pem = o.private_key_pem = ""; },
                "INVALID_CERTIFICATE", "tls.certificate_chain_pem"},
        BadCase{"KeyWithoutCertificate", kClient, [](TlsOptions& o) { o.private_key_pem = "x"; }, "INVALID_CERTIFICATE",
                "tls.certificate_chain_pem"},
        BadCase{"NoPem", kServer, [](TlsOptions& o) { o.certificate_chain_pem = "not PEM"; }, "INVALID_CERTIFICATE",
                "tls.certificate_chain_pem"},
        BadCase{"BrokenCertificate", kServer,
                [](TlsOptions& o) {
                  o.certificate_chain_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
                },
                "INVALID_CERTIFICATE", "tls.certificate_chain_pem"},
        BadCase{"BrokenSecondCertificate", kServer,
                [](TlsOptions& o) {
                  o.certificate_chain_pem += "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
                },
                "INVALID_CERTIFICATE", "tls.certificate_chain_pem"},
        BadCase{"HugeCertificate", kServer, [](TlsOptions& o) { o.certificate_chain_pem.append(2 << 20, '\n'); },
                "INVALID_CERTIFICATE", "tls.certificate_chain_pem"},
        BadCase{"NoKey", kServer, [](TlsOptions& o) { o.private_key_pem = ""; }, "INVALID_PRIVATE_KEY",
                "tls.private_key_pem"},
        BadCase{
            "BrokenKey", kServer,
            [](TlsOptions& o) { o.private_key_pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"; },
            "INVALID_PRIVATE_KEY", "tls.private_key_pem"},
        BadCase{"EncryptedKey", kServer,
                [](TlsOptions& o) {
                  o.private_key_pem =
                      "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                      "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END EC PRIVATE KEY-----\n";
                },
                "INVALID_PRIVATE_KEY", "tls.private_key_pem"},
        BadCase{"ForeignKey", kServer, [](TlsOptions& o) { o.private_key_pem = SharedTestAuthority().Issue().key_pem; },
                "KEY_VALUES_MISMATCH", "tls.private_key_pem"},
        BadCase{"NoRoots", kClient, [](TlsOptions& o) { o.trust_roots_pem = ""; }, "INVALID_TRUST_ROOTS",
                "tls.trust_roots_pem"},
        BadCase{"Cipher", kClient, [](TlsOptions& o) { o.cipher_list = "NO-SUCH-CIPHER"; }, "INVALID_CIPHERS",
                "tls.cipher_list"},
        BadCase{"Ciphersuite", kClient, [](TlsOptions& o) { o.ciphersuites = "NO_SUCH_SUITE"; }, "INVALID_CIPHERS",
                "tls.ciphersuites"},
        BadCase{"EmptyAlpn", kClient,
                [](TlsOptions& o) {
                  o.alpn_protocols = {"h2", ""};
                },
                "INVALID_ALPN", "tls.alpn_protocols"},
        BadCase{"LongAlpn", kClient, [](TlsOptions& o) { o.alpn_protocols = {std::string(256, 'a')}; }, "INVALID_ALPN",
                "tls.alpn_protocols"},
        BadCase{"ManyAlpn", kServer,
                [](TlsOptions& o) { o.alpn_protocols = std::vector<std::string>(300, std::string(255, 'a')); },
                "INVALID_ALPN", "tls.alpn_protocols"},
        BadCase{"Versions", kClient,
                [](TlsOptions& o) {
                  o.minimum_version = TlsVersion::kTls13;
                  o.maximum_version = TlsVersion::kTls12;
                },
                "INVALID_TLS_VERSION", "tls.maximum_version"},
        BadCase{"MaximumBelowTheDefault", kClient, [](TlsOptions& o) { o.maximum_version = TlsVersion::kTls11; },
                "INVALID_TLS_VERSION", "tls.maximum_version"},
        BadCase{"HandshakeTimeout", kClient, [](TlsOptions& o) { o.handshake_timeout = Duration::zero(); },
                "INVALID_TIMEOUT", "tls.handshake_timeout"},
        BadCase{"ShutdownTimeout", kClient, [](TlsOptions& o) { o.shutdown_timeout = std::chrono::hours(2); },
                "INVALID_TIMEOUT", "tls.shutdown_timeout"},
        BadCase{"DottedName", kClient, [](TlsOptions& o) { o.server_hostname = ".a"; }, "INVALID_SERVER_HOSTNAME",
                "tls.server_hostname"},
        BadCase{"NameWithNul", kClient, [](TlsOptions& o) { o.server_hostname = std::string("a\0b", 3); },
                "INVALID_SERVER_HOSTNAME", "tls.server_hostname"},
        BadCase{"NameThatIsNotAscii", kClient, [](TlsOptions& o) { o.server_hostname = "grüße.test"; },
                "INVALID_SERVER_HOSTNAME", "tls.server_hostname"},
        BadCase{"LongName", kClient, [](TlsOptions& o) { o.server_hostname = std::string(254, 'a'); },
                "INVALID_SERVER_HOSTNAME", "tls.server_hostname"}),
    [](const auto& parameter) { return parameter.param.name; });

TEST(TlsContext, TakesTheKeyFromTheChain) {
  TlsOptions options = ServerTls();
  options.certificate_chain_pem += std::exchange(options.private_key_pem, "");
  EXPECT_THAT(StatusOf(options, TlsSide::kServer), IsOk());
}

TEST(TlsContext, VerifiesByDefaultOnAClientOnly) {
  EXPECT_TRUE((*TlsContext::Create(ClientTls(), TlsSide::kClient, nullptr))->verifies_peer());
  EXPECT_FALSE((*TlsContext::Create(ServerTls(), TlsSide::kServer, nullptr))->verifies_peer());
}

TEST(TlsContextKey, DependsOnWhatTheContextDependsOn) {
  const TlsOptions options = ServerTls();
  const std::string key = TlsContextKey(options, TlsSide::kServer);
  TlsOptions same = options;
  same.server_hostname = "other";
  same.handshake_timeout = std::chrono::seconds(1);
  EXPECT_EQ(TlsContextKey(same, TlsSide::kServer), key) << "what is a connection's own";
  EXPECT_NE(TlsContextKey(options, TlsSide::kClient), key);
  for (void (*change)(TlsOptions&) : std::initializer_list<void (*)(TlsOptions&)>{
           [](TlsOptions& o) { o.trust_roots_pem = ""; },
           [](TlsOptions& o) { o.certificate_chain_pem += " "; },
           [](TlsOptions& o) { o.private_key_pem += " "; },
           [](TlsOptions& o) { o.verify_mode = TlsVerifyMode::kNone; },
           [](TlsOptions& o) { o.alpn_protocols = {"h2"}; },
           [](TlsOptions& o) { o.minimum_version = TlsVersion::kTls12; },
           [](TlsOptions& o) { o.maximum_version = TlsVersion::kTls12; },
           [](TlsOptions& o) { o.cipher_list = "ALL"; },
           [](TlsOptions& o) { o.ciphersuites = "ALL"; },
           [](TlsOptions& o) { o.session_resumption = false; },
           [](TlsOptions& o) { o.resumption_scope = "session"; },
       }) {
    TlsOptions changed = options;
    change(changed);
    EXPECT_NE(TlsContextKey(changed, TlsSide::kServer), key);
  }
}

}  // namespace
}  // namespace transportd
