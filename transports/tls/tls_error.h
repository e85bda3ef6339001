// What OpenSSL says went wrong, as errors of ours.
#ifndef TRANSPORTD_TRANSPORTS_TLS_TLS_ERROR_H_
#define TRANSPORTD_TRANSPORTS_TLS_TLS_ERROR_H_

#include <string>
#include <string_view>

#include "transports/api/error.h"
#include "transports/api/protocol.h"

namespace transportd {

// The last entry of this thread's error queue. Threading: as a plain value.
struct OpensslError {
  std::string reason;  // OpenSSL's words as Python's ssl.SSLError.reason has them: "WRONG_VERSION_NUMBER".
  std::string text;    // For people: "wrong version number".
  int alert = -1;      // The alert that the peer sent; -1: none.
};
// Empties the queue. An empty one gives reason "INTERNAL_ERROR".
OpensslError TakeOpensslError();

// "UNKNOWN_CA" for 48; "ALERT_<number>" for one that is not in RFC 8446, section 6, or RFC 5246, section 7.2.
std::string TlsAlertName(int alert);

// Of a TLS connection that failed: reason TLS_ALERT_<name> when the peer said so, else OpenSSL's.
struct TlsFailure {
  EndCause cause = EndCause::kTlsError;
  TransportError error;
};
// `operation`: "handshake", "recv", "send" or "shutdown". `peer`: its address, or empty. Empties the queue.
TlsFailure TakeTlsFailure(std::string_view operation, std::string_view peer);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_TLS_ERROR_H_
