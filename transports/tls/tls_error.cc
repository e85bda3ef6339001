#include "transports/tls/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cctype>
#include <iterator>

#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// OpenSSL's reason for an alert that was received: this and the alert's number. (SSL_AD_REASON_OFFSET.)
constexpr int kAlertReasonOffset = SSL_AD_REASON_OFFSET;
constexpr int kMaxAlert = 255;

struct Alert {
  int number;
  const char* name;
};
// RFC 8446, section 6; RFC 5246, section 7.2, for those that TLS 1.3 has no more.
constexpr Alert kAlerts[] = {
    {SSL_AD_CLOSE_NOTIFY, "CLOSE_NOTIFY"},
    {SSL_AD_UNEXPECTED_MESSAGE, "UNEXPECTED_MESSAGE"},
    {SSL_AD_BAD_RECORD_MAC, "BAD_RECORD_MAC"},
    {SSL_AD_DECRYPTION_FAILED, "DECRYPTION_FAILED"},
    {SSL_AD_RECORD_OVERFLOW, "RECORD_OVERFLOW"},
    {SSL_AD_DECOMPRESSION_FAILURE, "DECOMPRESSION_FAILURE"},
    {SSL_AD_HANDSHAKE_FAILURE, "HANDSHAKE_FAILURE"},
    {SSL_AD_NO_CERTIFICATE, "NO_CERTIFICATE"},
    {SSL_AD_BAD_CERTIFICATE, "BAD_CERTIFICATE"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "UNSUPPORTED_CERTIFICATE"},
    {SSL_AD_CERTIFICATE_REVOKED, "CERTIFICATE_REVOKED"},
    {SSL_AD_CERTIFICATE_EXPIRED, "CERTIFICATE_EXPIRED"},
    {SSL_AD_CERTIFICATE_UNKNOWN, "CERTIFICATE_UNKNOWN"},
    {SSL_AD_ILLEGAL_PARAMETER, "ILLEGAL_PARAMETER"},
    {SSL_AD_UNKNOWN_CA, "UNKNOWN_CA"},
    {SSL_AD_ACCESS_DENIED, "ACCESS_DENIED"},
    {SSL_AD_DECODE_ERROR, "DECODE_ERROR"},
    {SSL_AD_DECRYPT_ERROR, "DECRYPT_ERROR"},
    {SSL_AD_EXPORT_RESTRICTION, "EXPORT_RESTRICTION"},
    {SSL_AD_PROTOCOL_VERSION, "PROTOCOL_VERSION"},
    {SSL_AD_INSUFFICIENT_SECURITY, "INSUFFICIENT_SECURITY"},
    {SSL_AD_INTERNAL_ERROR, "INTERNAL_ERROR"},
    {SSL_AD_INAPPROPRIATE_FALLBACK, "INAPPROPRIATE_FALLBACK"},
    {SSL_AD_USER_CANCELLED, "USER_CANCELED"},
    {SSL_AD_NO_RENEGOTIATION, "NO_RENEGOTIATION"},
    {SSL_AD_MISSING_EXTENSION, "MISSING_EXTENSION"},
    {SSL_AD_UNSUPPORTED_EXTENSION, "UNSUPPORTED_EXTENSION"},
    {SSL_AD_CERTIFICATE_UNOBTAINABLE, "CERTIFICATE_UNOBTAINABLE"},
    {SSL_AD_UNRECOGNIZED_NAME, "UNRECOGNIZED_NAME"},
    {SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE, "BAD_CERTIFICATE_STATUS_RESPONSE"},
    {SSL_AD_BAD_CERTIFICATE_HASH_VALUE, "BAD_CERTIFICATE_HASH_VALUE"},
    {SSL_AD_UNKNOWN_PSK_IDENTITY, "UNKNOWN_PSK_IDENTITY"},
    {SSL_AD_CERTIFICATE_REQUIRED, "CERTIFICATE_REQUIRED"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "NO_APPLICATION_PROTOCOL"},
};

std::string UpperSnake(std::string_view text) {
  std::string name;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    name.push_back(std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_');
  }
  return name;
}

}  // namespace

OpensslError TakeOpensslError() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  OpensslError error;
  const char* const text = code != 0 ? ERR_reason_error_string(code) : nullptr;
  error.text = text != nullptr ? text : "internal error";
  error.reason = UpperSnake(error.text);
  const int reason = ERR_GET_REASON(code);
  if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= kAlertReasonOffset && reason <= kAlertReasonOffset + kMaxAlert) {
    error.alert = reason - kAlertReasonOffset;
  }
  return error;
}

std::string TlsAlertName(int alert) {
  const auto* const found = std::find_if(std::begin(kAlerts), std::end(kAlerts),
                                         [alert](const Alert& known) { return known.number == alert; });
  return found != std::end(kAlerts) ? found->name : StrCat("ALERT_", alert);
}

TlsFailure TakeTlsFailure(std::string_view operation, std::string_view peer) {
  const OpensslError openssl = TakeOpensslError();
  TlsFailure failure;
  TransportError& error = failure.error;
  error.operation = std::string(operation);
  error.address = std::string(peer);
  std::string what = openssl.text;
  if (openssl.alert >= 0) {
    failure.cause = EndCause::kTlsAlert;
    error.code = absl::StatusCode::kAborted;
    error.reason = StrCat("TLS_ALERT_", TlsAlertName(openssl.alert));
    what = StrCat("the peer sent the alert ", TlsAlertName(openssl.alert), " (", openssl.alert, ")");
  } else {
    error.code = absl::StatusCode::kDataLoss;
    error.reason = openssl.reason;
  }
  // A handshake that fails will fail again until somebody changes something.
  if (operation == "handshake") error.code = absl::StatusCode::kFailedPrecondition;
  error.message = peer.empty() ? StrCat(operation, ": ", what) : StrCat(operation, " ", peer, ": ", what);
  return failure;
}

}  // namespace transportd
