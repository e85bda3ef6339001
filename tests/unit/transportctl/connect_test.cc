#include "clients/cpp/connect.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(CheckToken, TakesWhatAHeaderMayHave) {
  for (const std::string_view token : {"", "abc", " !~", "a.b-c_d/e+f="}) EXPECT_THAT(CheckToken(token), IsOk());
}

TEST(CheckToken, SaysWhatIsAllowedAndNotWhatTheTokenIs) {
  struct Case {
    std::string_view token;
    std::string_view what;
  };
  for (const Case& c : {Case{"secret\n", "ends with a line break"}, Case{"secret\r\n", "ends with a line break"},
                        Case{"secret\nx", "byte 7 of it is not"}, Case{"secret\xc3\xa9", "byte 7 of it is not"},
                        Case{"\x7fsecret", "byte 1 of it is not"}, Case{{"secret\0", 7}, "byte 7 of it is not"}}) {
    const absl::Status status = CheckToken(c.token);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.what;
    const TransportError error = ToTransportError(status);
    EXPECT_EQ(error.reason, "INVALID_TOKEN");
    EXPECT_THAT(error.message, HasSubstr("must be printable ASCII without a line break"));
    EXPECT_THAT(error.message, HasSubstr(std::string(c.what)));
    EXPECT_THAT(error.message, Not(HasSubstr("secret")));
  }
}

TEST(ConnectRemoteEventLoop, RefusesWhatCannotBeSent) {
  const auto reason = [](ConnectOptions options) {
    options.target = "unix:/nobody";
    return ToTransportError(ConnectRemoteEventLoop(std::move(options)).status()).reason;
  };
  EXPECT_EQ(reason({.token = "abc\n"}), "INVALID_TOKEN");
  EXPECT_EQ(reason({.client_name = "\xff"}), "INVALID_CLIENT_NAME");
}

}  // namespace
}  // namespace transportd
