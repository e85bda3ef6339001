#include "clients/cpp/transportctl/exit_code.h"

#include <cerrno>
#include <chrono>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {

ExitCode ExitCodeFor(const absl::Status& status) {
  if (status.ok()) return kOk;
  const TransportError error = ToTransportError(status);
  if (status.code() == absl::StatusCode::kDeadlineExceeded || error.reason == "ETIMEDOUT") return kTimedOut;
  // Without a reason of the service's own, it is gRPC that speaks: nobody answered.
  const bool is_unreachable = error.reason == "UNKNOWN" && status.code() == absl::StatusCode::kUnavailable;
  if (is_unreachable || error.reason == "SESSION_LOST" || error.reason == "SERVICE_STOPPING") return kUnreachable;
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

std::string Explain(const absl::Status& status, std::string_view target, std::string_view question, Duration timeout) {
  const TransportError error = ToTransportError(status);
  std::string text = std::string(status.message());
  if (error.reason != "UNKNOWN") text += StrCat(" (", error.reason, ")");
  for (const TransportError& cause : error.causes) text += StrCat("\n  ", cause.message);
  switch (ExitCodeFor(status)) {
    case kUnreachable:
      if (error.reason != "UNKNOWN") break;
      return StrCat("no service answers at ", target, ": ", text, "\nstart one with `transportd --listen=", target,
                    " --dev`, or name another with --target or TRANSPORTD_TARGET");
    case kDenied:
      if (status.code() != absl::StatusCode::kUnauthenticated) break;
      return StrCat(text, "\nthe service wants to know who you are: set --token or TRANSPORTD_TOKEN");
    case kTimedOut:
      // Without a reason it is gRPC that speaks, and names neither.
      if (error.reason == "UNKNOWN") {
        text = StrCat("no answer from ", target, " within ", DurationText(timeout), " to ", question);
      }
      return StrCat(text, "\ngive it longer with --timeout");
    default:
      break;
  }
  return text;
}

}  // namespace transportd::ctl
