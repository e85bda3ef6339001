#include "clients/cpp/transportctl/exit_code.h"

#include <openssl/x509_vfy.h>

#include <utility>

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
  for (const char* reason : {"SERVICE_WANTS_TLS", "SERVICE_WITHOUT_TLS", "SERVICE_NOT_TRUSTED"}) {
    EXPECT_EQ(ExitCodeFor(MakeError(absl::StatusCode::kUnavailable, reason, "")), kUnreachable) << reason;
  }
  EXPECT_EQ(ExitCodeFor(MakeError(absl::StatusCode::kUnauthenticated, "CLIENT_CERTIFICATE_REFUSED", "")), kDenied);
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

TEST(Explain, NamesTheOption) {
  const auto hint = [](const TransportError& error) {
    return Explain(ToStatus(error), "h:1", "GetVersion", std::chrono::seconds(5)).back();
  };
  const auto of_reason = [&](absl::StatusCode code, const char* reason, int verify_code = 0) {
    return hint({.code = code, .reason = reason, .tls_verify_code = verify_code});
  };
  constexpr auto kUnavailable = absl::StatusCode::kUnavailable;
  EXPECT_THAT(of_reason(kUnavailable, "SERVICE_WANTS_TLS"), HasSubstr("--target-ca or TRANSPORTD_TARGET_CA"));
  EXPECT_THAT(of_reason(kUnavailable, "SERVICE_WITHOUT_TLS"), HasSubstr("leave --target-ca"));
  EXPECT_THAT(of_reason(kUnavailable, "SERVICE_NOT_TRUSTED", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY),
              HasSubstr("--target-ca or"));
  EXPECT_THAT(of_reason(kUnavailable, "SERVICE_NOT_TRUSTED", X509_V_ERR_IP_ADDRESS_MISMATCH),
              HasSubstr("--target-name"));
  EXPECT_THAT(of_reason(kUnavailable, "SERVICE_NOT_TRUSTED", X509_V_ERR_CERT_HAS_EXPIRED),
              HasSubstr("transportd --tls-certificate"));
  EXPECT_THAT(of_reason(absl::StatusCode::kUnauthenticated, "CLIENT_CERTIFICATE_REFUSED"),
              HasSubstr("--target-certificate and --target-key"));
  EXPECT_THAT(of_reason(absl::StatusCode::kUnauthenticated, "INVALID_CREDENTIALS"), HasSubstr("--token-file"));
  EXPECT_THAT(of_reason(absl::StatusCode::kInvalidArgument, "TOKEN_WITHOUT_TLS"), HasSubstr("--target-ca"));
  for (const auto& [field, option] : {std::pair{"token", "--token or TRANSPORTD_TOKEN "},
                                      {"token_file", "--token-file or TRANSPORTD_TOKEN_FILE"},
                                      {"ca_file", "--target-ca or TRANSPORTD_TARGET_CA"},
                                      {"certificate_file", "--target-certificate or TRANSPORTD_TARGET_CERTIFICATE"},
                                      {"key_file", "--target-key or TRANSPORTD_TARGET_KEY"},
                                      {"server_name", "--target-name or TRANSPORTD_TARGET_NAME"}}) {
    EXPECT_THAT(hint({.code = absl::StatusCode::kInvalidArgument, .reason = "ENOENT", .field = field}),
                HasSubstr(option));
  }
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
