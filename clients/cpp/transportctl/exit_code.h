// What transportctl's exit status says.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_EXIT_CODE_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_EXIT_CODE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "clients/cpp/transportctl/standard_error.h"
#include "transports/api/event_loop.h"

namespace transportd::ctl {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,       // The connection or the call failed, or output was lost.
  kUsage = 2,        // The command line is wrong.
  kUnreachable = 3,  // No service there, or the session with it was lost.
  kDenied = 4,       // The service refused: who you are, or what you ask.
  kBadFile = 78,     // Of policy: a file is not as it should be (EX_CONFIG of sysexits.h).
  kTimedOut = 124,   // As timeout(1).
  // Of exec alone, as env(1) and sh(1).
  kServiceFailed = 125,
  kNotExecutable = 126,
  kNotFound = 127,
  kSignalBase = 128,  // And the signal's number.
};

// The exit status that a failed call means.
ExitCode ExitCodeFor(const absl::Status& status);

// The same for exec, whose own failures must not look like the program's exit status. `status` is not OK.
ExitCode ExecExitCodeFor(const absl::Status& status);

// For standard error: what failed, and what to do about it. `target` is where the service was looked for, `question`
// the call that it was asked, `timeout` how long it had for the answer.
Lines Explain(const absl::Status& status, std::string_view target, std::string_view question, Duration timeout);

// As ParseDuration reads it: `5s`, `250ms`.
std::string DurationText(Duration duration);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_EXIT_CODE_H_
