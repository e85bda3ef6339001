#include "clients/cpp/transportctl/exit_code.h"

#include <openssl/x509_vfy.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

constexpr std::string_view kGiveCa =
    "name a file of the CAs to trust, or `system` for those of this machine, by --target-ca or TRANSPORTD_TARGET_CA";

// Of a certificate of the service's that was refused.
std::string_view TrustHint(int verify_code) {
  switch (verify_code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the name to expect is --target-name's or TRANSPORTD_TARGET_NAME's, else that of --target";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the service needs another one (transportd --tls-certificate), or this machine's clock is wrong";
    default:
      return "whom to trust is what --target-ca or TRANSPORTD_TARGET_CA says";
  }
}

// What to do about an option of ConnectOptions, or about what the service or TLS says of it; empty: nothing is known.
std::string_view HintFor(const TransportError& error) {
  struct Hint {
    std::string_view name;
    std::string_view text;
  };
  constexpr Hint kByReason[] = {
      {"SERVICE_WANTS_TLS", kGiveCa},
      {"TOKEN_WITHOUT_TLS", kGiveCa},
      {"SERVICE_WITHOUT_TLS",
       "leave --target-ca and TRANSPORTD_TARGET_CA away, or name another service by --target or TRANSPORTD_TARGET"},
      {"SERVICE_HUNG_UP", "wait, and see its audit log, auth.fail and auth.refused; or name another one by --target"},
      {"CLIENT_CERTIFICATE_REFUSED",
       "name one that it takes by --target-certificate and --target-key, or TRANSPORTD_TARGET_CERTIFICATE and "
       "TRANSPORTD_TARGET_KEY"},
      {"INVALID_CREDENTIALS",
       "who you are is what --token-file, --token and --target-certificate, or TRANSPORTD_TOKEN_FILE, TRANSPORTD_TOKEN "
       "and TRANSPORTD_TARGET_CERTIFICATE say"},
  };
  constexpr Hint kByField[] = {
      {"token", "it is what --token or TRANSPORTD_TOKEN says"},
      {"token_file", "it is what --token-file or TRANSPORTD_TOKEN_FILE names"},
      {"ca_file", "it is what --target-ca or TRANSPORTD_TARGET_CA names"},
      {"certificate_file", "it is what --target-certificate or TRANSPORTD_TARGET_CERTIFICATE names"},
      {"key_file", "it is what --target-key or TRANSPORTD_TARGET_KEY names"},
      {"target", "leave --target-ca and TRANSPORTD_TARGET_CA away"},
      {"server_name", "it is what --target-name or TRANSPORTD_TARGET_NAME says"},
  };
  if (error.reason == "INVALID_SERVICE_TLS" && error.field == "ca_file") return kGiveCa;
  if (error.reason == "SERVICE_NOT_TRUSTED") return TrustHint(error.tls_verify_code);
  for (const Hint& hint : kByReason) {
    if (hint.name == error.reason) return hint.text;
  }
  for (const Hint& hint : kByField) {
    if (hint.name == error.field) return hint.text;
  }
  return "";
}

}  // namespace

ExitCode ExitCodeFor(const absl::Status& status) {
  if (status.ok()) return kOk;
  const TransportError error = ToTransportError(status);
  if (status.code() == absl::StatusCode::kDeadlineExceeded || error.reason == "ETIMEDOUT") return kTimedOut;
  // Without a reason of the service's own, it is gRPC that speaks: nobody answered.
  const bool is_unreachable = error.reason == "UNKNOWN" && status.code() == absl::StatusCode::kUnavailable;
  constexpr std::string_view kNobodyToTalkTo[] = {"SESSION_LOST",        "SERVICE_STOPPING",    "SERVICE_WANTS_TLS",
                                                  "SERVICE_WITHOUT_TLS", "SERVICE_NOT_TRUSTED", "SERVICE_HUNG_UP"};
  const bool is_nobody =
      std::find(std::begin(kNobodyToTalkTo), std::end(kNobodyToTalkTo), error.reason) != std::end(kNobodyToTalkTo);
  if (is_unreachable || is_nobody) return kUnreachable;
  if (status.code() == absl::StatusCode::kUnauthenticated || error.reason == "POLICY_DENIED") return kDenied;
  return kFailed;
}

ExitCode ExecExitCodeFor(const absl::Status& status) {
  const TransportError error = ToTransportError(status);
  if (error.operation != "exec" || error.errno_number == 0) return kServiceFailed;
  return error.errno_number == ENOENT ? kNotFound : kNotExecutable;
}

std::string DurationText(Duration duration) {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return milliseconds % 1000 == 0 ? StrCat(milliseconds / 1000, "s") : StrCat(milliseconds, "ms");
}

Lines Explain(const absl::Status& status, std::string_view target, std::string_view question, Duration timeout) {
  const TransportError error = ToTransportError(status);
  const bool has_reason = error.reason != "UNKNOWN";  // Without one it is gRPC that speaks.
  Lines lines = {has_reason ? StrCat(error.message, " (", error.reason, ")") : error.message};
  for (const TransportError& cause : error.causes) lines.push_back(StrCat("  ", cause.message));
  const ExitCode code = ExitCodeFor(status);
  if (code == kUnreachable && !has_reason) {
    lines.front() = StrCat("no service answers at ", target, ": ", lines.front());
    lines.push_back(StrCat("start one with `transportd --listen=", target,
                           " --dev`, or name another with --target or TRANSPORTD_TARGET"));
  } else if (const std::string_view hint = HintFor(error); !hint.empty()) {
    lines.emplace_back(hint);
  } else if (code == kDenied && status.code() == absl::StatusCode::kUnauthenticated) {
    lines.emplace_back(
        "say who you are by --token-file, --token or --target-certificate, or by TRANSPORTD_TOKEN_FILE, "
        "TRANSPORTD_TOKEN or TRANSPORTD_TARGET_CERTIFICATE");
  } else if (code == kTimedOut) {
    // gRPC names neither.
    if (!has_reason) lines = {StrCat("no answer from ", target, " within ", DurationText(timeout), " to ", question)};
    lines.emplace_back("give it longer with --timeout");
  }
  return lines;
}

}  // namespace transportd::ctl
