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
  } else if (code == kDenied && status.code() == absl::StatusCode::kUnauthenticated) {
    lines.emplace_back("the service wants to know who you are: set --token or TRANSPORTD_TOKEN");
  } else if (code == kTimedOut) {
    // gRPC names neither.
    if (!has_reason) lines = {StrCat("no answer from ", target, " within ", DurationText(timeout), " to ", question)};
    lines.emplace_back("give it longer with --timeout");
  }
  return lines;
}

}  // namespace transportd::ctl
