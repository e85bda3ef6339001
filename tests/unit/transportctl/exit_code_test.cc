#include "clients/cpp/transportctl/exit_code.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "transports/api/error.h"

namespace transportd::ctl {
namespace {

using testing::Contains;
using testing::HasSubstr;

TEST(ExitCode, TellsOnePartyFromTheOther) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), kOk);
  EXPECT_EQ(ExitCodeFor(ErrnoToStatus(ECONNREFUSED, "connect", "127.0.0.1:1")), kFailed);
  EXPECT_EQ(ExitCodeFor(ErrnoToStatus(ETIMEDOUT, "connect", "127.0.0.1:1")), kTimedOut);
  EXPECT_EQ(ExitCodeFor(absl::UnavailableError("failed to connect to all addresses")), kUnreachable);
  EXPECT_EQ(ExitCodeFor(MakeError(absl::StatusCode::kUnavailable, "SESSION_LOST", "")), kUnreachable);
  EXPECT_EQ(ExitCodeFor(MakeError(absl::StatusCode::kDeadlineExceeded, "CONNECT_TIMEOUT", "")), kTimedOut);
  EXPECT_EQ(ExitCodeFor(MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "")), kDenied);
  // A port below 1024: the kernel, not the policy.
  EXPECT_EQ(ExitCodeFor(ErrnoToStatus(EACCES, "bind", "0.0.0.0:1")), kFailed);
  EXPECT_EQ(ExitCodeFor(absl::UnauthenticatedError("")), kDenied);
}

TEST(ExitCode, OfExecTellsTheProgramFromTheService) {
  EXPECT_EQ(ExecExitCodeFor(ErrnoToStatus(ENOENT, "exec", "x")), kNotFound);
  for (const int error_number : {EACCES, ENOEXEC, ENOTDIR, E2BIG}) {
    EXPECT_EQ(ExecExitCodeFor(ErrnoToStatus(error_number, "exec", "x")), kNotExecutable);
  }
  EXPECT_EQ(ExecExitCodeFor(ErrnoToStatus(ENOENT, "chdir", "x")), kServiceFailed);
  EXPECT_EQ(ExecExitCodeFor(absl::UnavailableError("failed to connect")), kServiceFailed);
  EXPECT_EQ(ExecExitCodeFor(MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "")), kServiceFailed);
  EXPECT_EQ(ExecExitCodeFor(absl::DeadlineExceededError("")), kServiceFailed);
}

TEST(Explain, SaysWhatToDo) {
  EXPECT_THAT(Explain(absl::UnavailableError("refused"), "h:1", "GetVersion", std::chrono::seconds(5)),
              Contains(HasSubstr("transportd --listen=h:1 --dev")));
  EXPECT_THAT(Explain(absl::UnauthenticatedError("no"), "h:1", "GetVersion", std::chrono::seconds(5)),
              Contains(HasSubstr("TRANSPORTD_TOKEN")));
  EXPECT_THAT(Explain(absl::DeadlineExceededError("late"), "h:1", "GetVersion", std::chrono::seconds(5)),
              Contains(HasSubstr("--timeout")));
  EXPECT_THAT(
      Explain(ErrnoToStatus(ECONNREFUSED, "connect", "127.0.0.1:1"), "h:1", "GetVersion", std::chrono::seconds(5)),
      Contains(HasSubstr("(ECONNREFUSED)")));
}

TEST(Explain, TimeoutSaysWhatWasAskedOfWhom) {
  const absl::Status late = absl::DeadlineExceededError("Deadline Exceeded");
  EXPECT_THAT(Explain(late, "h:1", "GetVersion", std::chrono::seconds(5)),
              Contains(HasSubstr("no answer from h:1 within 5s to GetVersion")));
  EXPECT_THAT(Explain(late, "h:1", "GetVersion", std::chrono::milliseconds(250)), Contains(HasSubstr("within 250ms")));
  // The service answered: it is the peer that did not.
  const absl::Status connect = MakeError(absl::StatusCode::kDeadlineExceeded, "CONNECT_TIMEOUT", "connect: too late");
  EXPECT_THAT(Explain(connect, "h:1", "Session", std::chrono::seconds(5)), Contains(HasSubstr("connect: too late")));
}

}  // namespace
}  // namespace transportd::ctl
