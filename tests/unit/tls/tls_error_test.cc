#include "transports/tls/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "gtest/gtest.h"

namespace transportd {
namespace {

// Reasons have names once the library is started.
const bool kIsStarted = OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, nullptr) == 1;

TEST(TakeOpensslError, NamesTheReasonAsPythonDoesAndEmptiesTheQueue) {
  ASSERT_TRUE(kIsStarted);
  ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
  ERR_raise(ERR_LIB_SSL, SSL_R_WRONG_VERSION_NUMBER);
  const OpensslError error = TakeOpensslError();
  EXPECT_EQ(error.reason, "WRONG_VERSION_NUMBER");
  EXPECT_EQ(error.text, "wrong version number");
  EXPECT_EQ(error.alert, -1);
  EXPECT_EQ(ERR_peek_error(), 0u);
  EXPECT_EQ(TakeOpensslError().reason, "INTERNAL_ERROR");
}

TEST(TakeOpensslError, FindsTheAlert) {
  ERR_raise(ERR_LIB_SSL, SSL_R_TLSV1_ALERT_UNKNOWN_CA);
  EXPECT_EQ(TakeOpensslError().alert, SSL_AD_UNKNOWN_CA);
  // The same number of another library is none.
  ERR_raise(ERR_LIB_X509, SSL_R_TLSV1_ALERT_UNKNOWN_CA);
  EXPECT_EQ(TakeOpensslError().alert, -1);
}

TEST(TlsAlertName, IsThatOfTheRfc) {
  EXPECT_EQ(TlsAlertName(48), "UNKNOWN_CA");
  EXPECT_EQ(TlsAlertName(116), "CERTIFICATE_REQUIRED");
  EXPECT_EQ(TlsAlertName(120), "NO_APPLICATION_PROTOCOL");
  EXPECT_EQ(TlsAlertName(200), "ALERT_200");
}

TEST(TakeTlsFailure, TellsAlertsFromErrorsOfOurs) {
  ERR_raise(ERR_LIB_SSL, SSL_R_SSLV3_ALERT_BAD_CERTIFICATE);
  TlsFailure failure = TakeTlsFailure("recv", "127.0.0.1:1");
  EXPECT_EQ(failure.cause, EndCause::kTlsAlert);
  EXPECT_EQ(failure.error.reason, "TLS_ALERT_BAD_CERTIFICATE");
  EXPECT_EQ(failure.error.code, absl::StatusCode::kAborted);
  EXPECT_EQ(failure.error.address, "127.0.0.1:1");
  EXPECT_EQ(failure.error.message, "recv 127.0.0.1:1: the peer sent the alert BAD_CERTIFICATE (42)");

  ERR_raise(ERR_LIB_SSL, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
  failure = TakeTlsFailure("recv", "");
  EXPECT_EQ(failure.cause, EndCause::kTlsError);
  EXPECT_EQ(failure.error.reason, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
  EXPECT_EQ(failure.error.code, absl::StatusCode::kDataLoss);

  ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
  EXPECT_EQ(TakeTlsFailure("handshake", "").error.code, absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace transportd
