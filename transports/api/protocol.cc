#include "transports/api/protocol.h"

#include <cerrno>

namespace transportd {

std::string_view EndCauseName(EndCause cause) {
  switch (cause) {
    case EndCause::kEof:
      return "EOF";
    case EndCause::kLocalClose:
      return "LOCAL_CLOSE";
    case EndCause::kLocalAbort:
      return "LOCAL_ABORT";
    case EndCause::kReset:
      return "RESET";
    case EndCause::kBrokenPipe:
      return "BROKEN_PIPE";
    case EndCause::kTimedOut:
      return "TIMED_OUT";
    case EndCause::kUnreachable:
      return "UNREACHABLE";
    case EndCause::kTlsAlert:
      return "TLS_ALERT";
    case EndCause::kTlsError:
      return "TLS_ERROR";
    case EndCause::kOperator:
      return "OPERATOR";
    case EndCause::kPolicyRevoked:
      return "POLICY_REVOKED";
    case EndCause::kSessionLost:
      return "SESSION_LOST";
    case EndCause::kServiceStopping:
      return "SERVICE_STOPPING";
    case EndCause::kOsError:
      return "OS_ERROR";
    case EndCause::kRaggedEof:
      return "RAGGED_EOF";
  }
  return "UNSPECIFIED";
}

EndCause EndCauseFromErrno(int error_number) {
  switch (error_number) {
    case ECONNRESET:
      return EndCause::kReset;
    case EPIPE:
    case ESHUTDOWN:
      return EndCause::kBrokenPipe;
    case ETIMEDOUT:
      return EndCause::kTimedOut;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
      return EndCause::kUnreachable;
    default:
      return EndCause::kOsError;
  }
}

}  // namespace transportd
