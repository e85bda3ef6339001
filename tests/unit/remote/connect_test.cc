#include "clients/cpp/connect.h"

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"
#include "tests/unit/remote/scoped_environment.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(CheckToken, TakesWhatAHeaderMayHave) {
  for (const std::string_view token : {"", "abc", "! ~", "a.b-c_d/e+f="}) EXPECT_THAT(CheckToken(token), IsOk());
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

TEST(CheckToken, FitsIntoTheHeadersThatTheServiceTakes) {
  EXPECT_THAT(CheckToken(std::string(7168, 'x')), IsOk());
  EXPECT_THAT(CheckToken(std::string(7169, 'x')), HasReason("INVALID_TOKEN"));
  EXPECT_THAT(CheckToken(" abc"), HasReason("INVALID_TOKEN"));
  EXPECT_THAT(CheckToken("abc "), HasReason("INVALID_TOKEN"));
  EXPECT_THAT(CheckToken("a b"), IsOk());
}

TEST(TokenToSend, ReadsItsFileEachTime) {
  const TempDir folder;
  ConnectOptions options = {.target = "unix:/nobody", .token_file = folder.WriteFile("token", "first")};
  EXPECT_EQ(TokenToSend(options).value(), "first");
  folder.WriteFile("token", "second\r\n");
  EXPECT_EQ(TokenToSend(options).value(), "second");
}

TEST(TokenToSend, NamesAFileThatHasNone) {
  const TempDir folder;
  const auto error_of = [&](const std::string& content) {
    const std::string file = folder.WriteFile("token", content);
    const auto token = TokenToSend({.target = "unix:/nobody", .token_file = file});
    EXPECT_THAT(token, HasReason("INVALID_TOKEN"));
    const TransportError error = ToTransportError(token.status());
    EXPECT_THAT(error.message, HasSubstr(file));
    EXPECT_THAT(error.message, Not(HasSubstr("secret")));
    EXPECT_EQ(error.field, "token_file");
    return error.message;
  };
  EXPECT_THAT(error_of("\n"), HasSubstr("it is empty"));
  EXPECT_THAT(error_of("secret\nsecret\n"), HasSubstr("byte 7 of it is not"));
  const auto missing = TokenToSend({.target = "unix:/nobody", .token_file = folder.Path("nowhere")});
  EXPECT_THAT(missing, HasReason("ENOENT"));
  EXPECT_THAT(missing, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr(folder.Path("nowhere")));
  EXPECT_THAT(TokenToSend({.target = "unix:/nobody", .token = "a", .token_file = "b"}), HasReason("INVALID_TOKEN"));
}

TEST(TokenToSend, GoesNowhereWithoutTlsButWithinTheMachine) {
  for (const char* target :
       {"unix:/x", "unix-abstract:x", "127.0.0.1:1", "[::1]:1", "localhost:1", "dns:///localhost:1"}) {
    EXPECT_EQ(TokenToSend({.target = target, .token = "t"}).value_or("refused"), "t") << target;
  }
  for (const char* target : {"192.0.2.1:1", "example.org:1", "localhost.example.org:1", "ipv4:127.0.0.1:1,192.0.2.1:1",
                             "[::ffff:192.0.2.1]:1", "xds:///localhost", "dns://192.0.2.1/localhost:1"}) {
    EXPECT_THAT(TokenToSend({.target = target, .token = "t"}), HasReason("TOKEN_WITHOUT_TLS")) << target;
    EXPECT_THAT(TokenToSend({.target = target, .token = "t", .ca_file = "system"}), IsOk()) << target;
    EXPECT_THAT(TokenToSend({.target = target}), IsOk()) << target;
  }
}

TEST(ScopedEnvironment, LeavesWhatItFound) {
  const ScopedEnvironment outer({{"TRANSPORTD_TARGET", "first"}, {"TRANSPORTD_TARGET_NAME", "name"}});
  {
    const ScopedEnvironment inner({{"TRANSPORTD_TARGET", "second"}, {"TRANSPORTD_TARGET_CA", "ca"}});
    EXPECT_EQ(WithEnvironment({}).target + WithEnvironment({}).ca_file, "secondca");
  }
  EXPECT_EQ(WithEnvironment({}).target + WithEnvironment({}).ca_file, "first");
}

TEST(WithEnvironment, FillsInWhatIsNotSaid) {
  const ScopedEnvironment environment({{"TRANSPORTD_TARGET", "h:1"},
                                       {"TRANSPORTD_TOKEN_FILE", "token"},
                                       {"TRANSPORTD_TARGET_CA", "ca"},
                                       {"TRANSPORTD_TARGET_CERTIFICATE", "certificate"},
                                       {"TRANSPORTD_TARGET_KEY", "key"},
                                       {"TRANSPORTD_TARGET_NAME", "name"}});
  const ConnectOptions all = WithEnvironment({});
  EXPECT_EQ(all.target, "h:1");
  EXPECT_EQ(all.token_file, "token");
  EXPECT_EQ(all.ca_file, "ca");
  EXPECT_EQ(all.certificate_file, "certificate");
  EXPECT_EQ(all.key_file, "key");
  EXPECT_EQ(all.server_name, "name");
  // Its key may be in it; another's never is.
  EXPECT_EQ(WithEnvironment({.certificate_file = "mine"}).key_file, "");
  EXPECT_EQ(WithEnvironment({.token = "mine"}).token_file, "");
  // What is meant for services behind TCP does not keep from one behind a Unix socket.
  const ConnectOptions unix_socket = WithEnvironment({.target = "unix:/x"});
  EXPECT_EQ(unix_socket.ca_file + unix_socket.certificate_file + unix_socket.server_name, "");
  EXPECT_EQ(unix_socket.token_file, "token");
}

TEST(CreateServiceChannel, NamesTheFileThatIsWrong) {
  const TempDir folder;
  const TestIdentity& mine = SharedTestIdentity();
  const TestIdentity other = SharedTestAuthority().Issue();
  const std::string ca = folder.WriteFile("ca", SharedTestAuthority().certificate_pem());
  const std::string certificate = folder.WriteFile("certificate", mine.chain_pem);
  const std::string key = folder.WriteFile("key", mine.key_pem);
  const std::string other_key = folder.WriteFile("other_key", other.key_pem);
  const std::string both = folder.WriteFile("both", mine.key_pem + mine.chain_pem);
  const auto channel = [](ConnectOptions options) {
    options.target = "h:1";
    return CreateServiceChannel(options);
  };
  EXPECT_THAT(channel({.ca_file = ca, .certificate_file = certificate, .key_file = key}), IsOk());
  EXPECT_THAT(channel({.ca_file = ca, .certificate_file = both}), IsOk());
  {
    const ScopedEnvironment roots({{"SSL_CERT_FILE", ca}, {"SSL_CERT_DIR", "/nowhere"}});
    EXPECT_THAT(channel({.ca_file = "system"}), IsOk());
    const ScopedEnvironment none({{"SSL_CERT_FILE", "/nowhere"}, {"SSL_CERT_DIR", "/nowhere"}});
    EXPECT_THAT(channel({.ca_file = "system"}), HasReason("INVALID_TRUST_ROOTS"));
  }
  const std::string pipe = folder.Path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  struct Case {
    ConnectOptions options;
    std::string reason;
    std::string field;
    std::string message;
  };
  for (const Case& c : {
           Case{{.ca_file = "/nowhere"}, "ENOENT", "ca_file", "/nowhere"},
           Case{{.ca_file = pipe}, "NOT_A_REGULAR_FILE", "ca_file", pipe},
           Case{{.ca_file = key}, "INVALID_TRUST_ROOTS", "ca_file", key},
           Case{{.ca_file = ca, .certificate_file = key, .key_file = key},
                "INVALID_CERTIFICATE",
                "certificate_file",
                key},
           Case{{.ca_file = ca, .certificate_file = certificate},
                "INVALID_PRIVATE_KEY",
                "certificate_file",
                certificate},
           Case{
               {.ca_file = ca, .certificate_file = certificate, .key_file = ca}, "INVALID_PRIVATE_KEY", "key_file", ca},
           Case{{.ca_file = ca, .certificate_file = certificate, .key_file = other_key},
                "KEY_VALUES_MISMATCH",
                "key_file",
                other_key},
           Case{{.ca_file = ca, .key_file = key}, "INVALID_SERVICE_TLS", "certificate_file", "not its certificate"},
           Case{{.certificate_file = both}, "INVALID_SERVICE_TLS", "ca_file", "a client certificate needs TLS"},
           Case{{.server_name = "name"}, "INVALID_SERVICE_TLS", "ca_file", "needs TLS"},
           Case{{.ca_file = ca, .server_name = ".name"}, "INVALID_SERVER_HOSTNAME", "server_name", "no dot"},
           Case{{.ca_file = ca, .credentials = grpc::InsecureChannelCredentials()},
                "INVALID_SERVICE_TLS",
                "credentials",
                "credentials"},
       }) {
    const auto refused = channel(c.options);
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument)) << c.message;
    if (refused.ok()) continue;
    EXPECT_THAT(refused, HasReason(c.reason)) << c.message;
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(c.message));
    EXPECT_EQ(ToTransportError(refused.status()).field, c.field) << c.message;
  }
  EXPECT_THAT(CreateServiceChannel({.target = "unix:/x", .ca_file = ca}), HasReason("INVALID_SERVICE_TLS"));
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
