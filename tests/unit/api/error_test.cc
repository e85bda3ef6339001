#include "transports/api/error.h"

#include <cerrno>
#include <string>

#include "absl/strings/cord.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

TransportError FullError() {
  TransportError error;
  error.code = absl::StatusCode::kUnavailable;
  error.reason = "ECONNREFUSED";
  error.message = std::string("text with \0 and \xff", 18);
  error.errno_number = ECONNREFUSED;
  error.address = "[::1]:80";
  error.operation = "connect";
  error.field = "remote.host";
  error.gai_code = -2;
  error.tls_verify_code = 20;
  return error;
}

void ExpectSame(const TransportError& a, const TransportError& b) {
  EXPECT_EQ(a.code, b.code);
  EXPECT_EQ(a.reason, b.reason);
  EXPECT_EQ(a.message, b.message);
  EXPECT_EQ(a.errno_number, b.errno_number);
  EXPECT_EQ(a.address, b.address);
  EXPECT_EQ(a.operation, b.operation);
  EXPECT_EQ(a.field, b.field);
  EXPECT_EQ(a.gai_code, b.gai_code);
  EXPECT_EQ(a.tls_verify_code, b.tls_verify_code);
  ASSERT_EQ(a.causes.size(), b.causes.size());
  for (size_t i = 0; i < a.causes.size(); ++i) ExpectSame(a.causes[i], b.causes[i]);
}

TEST(ToStatus, RoundTripKeepsEveryFieldAndEveryCause) {
  TransportError error = FullError();
  error.causes = {FullError(), TransportError()};
  const absl::Status status = ToStatus(error);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), error.message);
  ExpectSame(ToTransportError(status), error);
}

TEST(ToTransportError, StatusWithoutPayloadGetsReasonUnknown) {
  const TransportError error = ToTransportError(absl::InternalError("text"));
  EXPECT_EQ(error.code, absl::StatusCode::kInternal);
  EXPECT_EQ(error.reason, "UNKNOWN");
  EXPECT_EQ(error.message, "text");
}

TEST(ToTransportError, EveryTruncatedPayloadIsAnsweredWithUnknown) {
  TransportError full = FullError();
  full.causes = {FullError()};
  const std::string payload(*ToStatus(full).GetPayload("transportd/TransportError"));
  for (size_t size = 0; size < payload.size(); ++size) {
    absl::Status status = absl::AbortedError("text");
    status.SetPayload("transportd/TransportError", absl::Cord(payload.substr(0, size)));
    EXPECT_EQ(ToTransportError(status).reason, "UNKNOWN") << size;
  }
}

TEST(ToTransportErrorDeathTest, OkStatusAborts) {
  EXPECT_DEATH(ToTransportError(absl::OkStatus()), "OK status");
  TransportError ok;
  ok.code = absl::StatusCode::kOk;
  EXPECT_DEATH(static_cast<void>(ToStatus(ok)), "code OK");
  EXPECT_DEATH(static_cast<void>(ErrnoToStatus(0, "connect")), "errno 0");
}

TEST(ErrnoToStatus, CarriesNameNumberOperationAndAddress) {
  const absl::Status status = ErrnoToStatus(ECONNREFUSED, "connect", "127.0.0.1:80");
  const TransportError error = ToTransportError(status);
  EXPECT_EQ(error.reason, "ECONNREFUSED");
  EXPECT_EQ(error.errno_number, ECONNREFUSED);
  EXPECT_EQ(error.operation, "connect");
  EXPECT_EQ(error.address, "127.0.0.1:80");
  EXPECT_EQ(status.message(), "connect 127.0.0.1:80: Connection refused");
  EXPECT_EQ(ErrnoToStatus(EMFILE, "accept").message(),
            "accept: Too many open files (close some, or raise the limit of the process that has them: ulimit -n)");
}

TEST(ErrnoToStatus, EveryErrnoOfSocketsHasACodeOfItsOwn) {
  const struct {
    int error_number;
    absl::StatusCode code;
  } cases[] = {
      {ECONNREFUSED, absl::StatusCode::kUnavailable},
      {ECONNRESET, absl::StatusCode::kUnavailable},
      {ECONNABORTED, absl::StatusCode::kUnavailable},
      {ENETUNREACH, absl::StatusCode::kUnavailable},
      {EHOSTUNREACH, absl::StatusCode::kUnavailable},
      {ENETDOWN, absl::StatusCode::kUnavailable},
      {EHOSTDOWN, absl::StatusCode::kUnavailable},
      {EAGAIN, absl::StatusCode::kUnavailable},
      {EPROTO, absl::StatusCode::kUnavailable},
      {ETIMEDOUT, absl::StatusCode::kDeadlineExceeded},
      {EACCES, absl::StatusCode::kPermissionDenied},
      {EPERM, absl::StatusCode::kPermissionDenied},
      {EADDRINUSE, absl::StatusCode::kFailedPrecondition},
      {EADDRNOTAVAIL, absl::StatusCode::kFailedPrecondition},
      {EPIPE, absl::StatusCode::kFailedPrecondition},
      {ENOTCONN, absl::StatusCode::kFailedPrecondition},
      {EISCONN, absl::StatusCode::kFailedPrecondition},
      {ESHUTDOWN, absl::StatusCode::kFailedPrecondition},
      {ENOENT, absl::StatusCode::kNotFound},
      {EMFILE, absl::StatusCode::kResourceExhausted},
      {ENFILE, absl::StatusCode::kResourceExhausted},
      {ENOMEM, absl::StatusCode::kResourceExhausted},
      {ENOBUFS, absl::StatusCode::kResourceExhausted},
      {ENOSPC, absl::StatusCode::kResourceExhausted},
      {EINVAL, absl::StatusCode::kInvalidArgument},
      {EMSGSIZE, absl::StatusCode::kInvalidArgument},
      {EAFNOSUPPORT, absl::StatusCode::kUnimplemented},
      {EPROTONOSUPPORT, absl::StatusCode::kUnimplemented},
      {EOPNOTSUPP, absl::StatusCode::kUnimplemented},
      {ECANCELED, absl::StatusCode::kCancelled},
  };
  for (const auto& one : cases) {
    EXPECT_THAT(ErrnoToStatus(one.error_number, "x"), StatusIs(one.code)) << ErrnoName(one.error_number);
  }
}

TEST(ErrnoToStatus, NoErrnoMakesAnOkStatus) {
  for (int error_number = 1; error_number < 200; ++error_number) {
    EXPECT_FALSE(ErrnoToStatus(error_number, "x").ok()) << error_number;
  }
}

TEST(ErrnoName, NamesWhatHasANameAndNumbersTheRest) {
  EXPECT_EQ(ErrnoName(ECONNREFUSED), "ECONNREFUSED");
  EXPECT_EQ(ErrnoName(EAGAIN), "EAGAIN");
  EXPECT_EQ(ErrnoName(4000), "E4000");
}

TEST(InvalidArgument, NamesTheField) {
  const absl::Status status = InvalidArgument("INVALID_PORT", "port", "must be from 0 to 65535");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(status, HasReason("INVALID_PORT"));
  EXPECT_THAT(status, HasField("port"));
  EXPECT_EQ(status.message(), "port: must be from 0 to 65535");
}

TEST(InvalidArgument, WithoutAFieldIsTheMessageAlone) {
  const absl::Status status = InvalidArgument("BAD_FLAG", "", "--loops=0: must be from 1 to 64");
  EXPECT_THAT(status, HasField(""));
  EXPECT_EQ(status.message(), "--loops=0: must be from 1 to 64");
}

TEST(MakeError, CarriesCodeAndReason) {
  const absl::Status status = MakeError(absl::StatusCode::kCancelled, "CANCELLED", "text");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(status, HasReason("CANCELLED"));
}

}  // namespace
}  // namespace transportd
