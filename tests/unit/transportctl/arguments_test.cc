#include "clients/cpp/transportctl/arguments.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd::ctl {
namespace {

using testing::HasSubstr;

absl::StatusOr<Arguments> Parse(const std::vector<std::string_view>& words) { return ParseArguments(words); }

std::string ErrorOf(const std::vector<std::string_view>& words) {
  const auto arguments = Parse(words);
  return arguments.ok() ? "" : std::string(arguments.status().message());
}

TEST(Arguments, ConnectTakesOptionsBeforeAndAfterTheCommand) {
  const auto arguments = Parse({"--target", "unix:/x", "--timeout=250ms", "connect", "example.org:80", "--json", "-6",
                                "--source", "10.0.0.1:0", "--happy-eyeballs=0.1", "--no-half-close"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->command, Command::kConnect);
  EXPECT_EQ(arguments->target, "unix:/x");
  EXPECT_EQ(arguments->timeout, std::chrono::milliseconds(250));
  EXPECT_EQ(arguments->endpoint.host, "example.org");
  EXPECT_EQ(arguments->endpoint.port, 80u);
  EXPECT_TRUE(arguments->json);
  EXPECT_EQ(arguments->family, AddressFamily::kInet6);
  EXPECT_EQ(arguments->source->host, "10.0.0.1");
  EXPECT_EQ(arguments->happy_eyeballs_delay, std::chrono::milliseconds(100));
  EXPECT_FALSE(arguments->half_close);
}

TEST(Arguments, ListenTakesAPortAlone) {
  const auto arguments = Parse({"listen", "0", "--echo", "-k"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_FALSE(arguments->endpoint.host.has_value());
  EXPECT_EQ(arguments->endpoint.port, 0u);
  EXPECT_TRUE(arguments->echo);
  EXPECT_TRUE(arguments->keep);
}

TEST(Arguments, HelpNeedsNothingElse) {
  EXPECT_EQ(Parse({"--help"})->command, Command::kHelp);
  EXPECT_EQ(Parse({"connect", "-h"})->command, Command::kHelp);
  EXPECT_EQ(Parse({"help"})->command, Command::kHelp);
}

TEST(Arguments, VersionOptionNeedsNothingElse) {
  const auto arguments = Parse({"--version"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->command, Command::kProgramVersion);
  EXPECT_THAT(ErrorOf({"--version=1"}), HasSubstr("--version takes no value"));
}

TEST(Arguments, WhatIsWrongIsNamed) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("a command is missing"));
  EXPECT_THAT(ErrorOf({"conect", "a:1"}), HasSubstr("unknown command `conect`"));
  EXPECT_THAT(ErrorOf({"connect"}), HasSubstr("connect needs HOST:PORT"));
  EXPECT_THAT(ErrorOf({"connect", "a:1", "b"}), HasSubstr("`b` is one word too many"));
  EXPECT_THAT(ErrorOf({"health", "--color"}), HasSubstr("unknown option --color"));
  EXPECT_THAT(ErrorOf({"health", "--timeout"}), HasSubstr("--timeout needs a value"));
  EXPECT_THAT(ErrorOf({"health", "--timeout=0"}), HasSubstr("more than 0"));
  EXPECT_THAT(ErrorOf({"health", "--json=yes"}), HasSubstr("--json takes no value"));
  EXPECT_THAT(ErrorOf({"health", "--target="}), HasSubstr("--target must not be empty"));
  EXPECT_THAT(ErrorOf({"health", "-4"}), HasSubstr("-4 has no meaning for health"));
  EXPECT_THAT(ErrorOf({"connect", "a:1", "--echo"}), HasSubstr("--echo has no meaning for connect"));
  EXPECT_THAT(ErrorOf({"listen", "1", "--source=a:1"}), HasSubstr("--source has no meaning for listen"));
  EXPECT_THAT(ErrorOf({"sessions", "--session=abcdefgh"}), HasSubstr("--session has no meaning for sessions"));
  EXPECT_THAT(ErrorOf({"connect", "a:1", "--family=5"}), HasSubstr("--family must be 4 or 6"));
}

TEST(Arguments, DoubleDashEndsTheOptions) {
  EXPECT_THAT(Parse({"connect", "--", "a:1"}), IsOk());
  EXPECT_THAT(ErrorOf({"connect", "--", "--json"}), HasSubstr("`--json`"));
}

TEST(Endpoint, IsReadAsPeopleWriteIt) {
  struct Case {
    std::string_view text;
    std::optional<std::string> host;
    uint32_t port;
  };
  for (const Case& c : {Case{"localhost:80", "localhost", 80}, Case{"[::1]:443", "::1", 443},
                        Case{"[fe80::1%eth0]:65535", "fe80::1%eth0", 65535}, Case{":8080", std::nullopt, 8080}}) {
    const auto endpoint = ParseEndpoint(c.text, false);
    ASSERT_THAT(endpoint, IsOk()) << c.text;
    EXPECT_EQ(endpoint->host, c.host);
    EXPECT_EQ(endpoint->port, c.port);
  }
}

TEST(Endpoint, BadOnesAreRefused) {
  for (const std::string_view text : {"", "host", "host:", "host:http", "host:65536", "host:-1", "host:+1", "host: 1",
                                      "::1:80", "[::1]", "[::1]80", "[::1", "host:99999999999999999999"}) {
    EXPECT_THAT(ParseEndpoint(text, false), testing::Not(IsOk())) << text;
  }
}

TEST(DurationText, UnitsAndBounds) {
  EXPECT_EQ(*ParseDuration("5"), std::chrono::seconds(5));
  EXPECT_EQ(*ParseDuration("1.5s"), std::chrono::milliseconds(1500));
  EXPECT_EQ(*ParseDuration("250ms"), std::chrono::milliseconds(250));
  EXPECT_EQ(*ParseDuration("2m"), std::chrono::minutes(2));
  EXPECT_EQ(*ParseDuration("1h"), std::chrono::hours(1));
  for (const std::string_view text : {"", "s", "0", "-1s", "2h", "5 s", "5d", "nan", "inf", "1e9"}) {
    EXPECT_THAT(ParseDuration(text), testing::Not(IsOk())) << text;
  }
}

TEST(Help, NamesEveryCommandAndExitStatus) {
  for (const char* word :
       {"connect", "listen", "sessions", "transports", "health", "version", "--version", "  124  "}) {
    EXPECT_THAT(std::string(HelpText()), HasSubstr(word));
  }
}

}  // namespace
}  // namespace transportd::ctl
