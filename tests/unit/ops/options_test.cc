#include "server/ops/options.h"

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

using testing::HasSubstr;

absl::StatusOr<Options> Parse(std::vector<const char*> arguments) {
  return ParseOptions(
      arguments, [](const char* /*name*/) -> const char* { return nullptr; }, [](const std::string& /*text*/) {});
}

std::string Error(std::vector<const char*> arguments) {
  const auto options = Parse(std::move(arguments));
  return options.ok() ? "" : ToTransportError(options.status()).message;
}

TEST(Options, WithoutDevAndPolicyNothingStarts) {
  EXPECT_THAT(Error({}), HasSubstr("Start it with --dev"));
  EXPECT_THAT(Error({"--listen=127.0.0.1:0"}), HasSubstr("Start it with --dev"));
}

TEST(Options, DevHasNoPolicy) {
  for (const char* flag : {"--policy=/p", "--shadow-policy=/p", "--identities=/i", "--tls-certificate=/c",
                           "--tls-key=/k", "--tls-client-ca=/c", "--audit-log=/a", "--audit-log=stderr"}) {
    EXPECT_THAT(Error({"--dev", flag}), HasSubstr("without --dev")) << flag;
  }
  EXPECT_THAT(Error({"--dev", "--listen=unix:/x,principal=a"}), HasSubstr("everybody is `dev`"));
  EXPECT_THAT(Error({"--dev", "--listen=nowhere"}), HasSubstr("--listen=nowhere: "));
  EXPECT_THAT(Error({"--dev", "--health-listen=nowhere"}), HasSubstr("--health-listen=nowhere: "));
  EXPECT_THAT(Error({"--dev", "--health-listen=unix:/x,principal=a"}), HasSubstr("nobody asked who"));
}

TEST(Options, AListenerThroughWhichNobodyCouldComeIsRefused) {
  EXPECT_THAT(Error({"--policy=/p"}), HasSubstr("needs --tls-certificate"));
  EXPECT_THAT(Error({"--policy=/p", "--tls-certificate=/c"}), HasSubstr("one goes with the other"));
  EXPECT_THAT(Error({"--policy=/p", "--tls-client-ca=/c"}), HasSubstr("needs --tls-certificate"));
  EXPECT_THAT(Error({"--policy=/p", "--tls-certificate=/c", "--tls-key=/k"}), HasSubstr("nobody could be identified"));
  EXPECT_THAT(Error({"--policy=/p", "--listen=unix:/x"}), HasSubstr("nobody could be identified"));
  EXPECT_THAT(Error({"--policy=/p", "--listen=127.0.0.1:0,plaintext"}),
              HasSubstr("identified there: give --identities=FILE"));
}

TEST(Options, EachWayToBeIdentifiedIsEnough) {
  for (const std::vector<const char*>& arguments : std::vector<std::vector<const char*>>{
           {"--policy=/p", "--listen=0.0.0.0:0", "--tls-certificate=/c", "--tls-key=/k", "--tls-client-ca=/a"},
           {"--policy=/p", "--listen=0.0.0.0:0", "--tls-certificate=/c", "--tls-key=/k", "--identities=/i"},
           {"--policy=/p", "--listen=127.0.0.1:0,plaintext", "--identities=/i"},
           {"--policy=/p", "--listen=unix:/x", "--identities=/i"},
           {"--policy=/p", "--listen=unix:/x,principal=a"}}) {
    EXPECT_THAT(Parse(arguments), IsOk());
  }
}

TEST(Options, WhatPoliciesNeedReachesItsField) {
  const auto options =
      Parse({"--policy=/p", "--listen=unix:/x,principal=a", "--shadow-policy=/s", "--policy-reload=keep",
             "--audit-log=off", "--audit-on-failure=continue", "--self-address=10.0.0.1:1"});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->policy, "/p");
  EXPECT_EQ(options->shadow_policy, "/s");
  EXPECT_TRUE(options->keep_on_reload);
  EXPECT_EQ(options->audit_log, "off");
  EXPECT_FALSE(options->refuse_without_audit);
  EXPECT_THAT(options->self_addresses, testing::ElementsAre("10.0.0.1:1"));
}

TEST(Options, DevListensOnLoopbackAndUnixSocketsOnly) {
  for (const char* listen :
       {"127.0.0.1:0", "127.9.8.7:0", "[::1]:0", "localhost:0", "unix:/tmp/x", "unix:relative", "unix-abstract:x"}) {
    EXPECT_THAT(Parse({"--dev", "--listen", listen}), IsOk()) << listen;
  }
  for (const char* listen : {"0.0.0.0:0", "[::]:0", "192.168.1.1:0", "[::ffff:127.0.0.1]:0", "[fe80::1]:0"}) {
    EXPECT_THAT(Error({"--dev", "--listen", listen}), HasSubstr("loopback")) << listen;
  }
  EXPECT_THAT(Error({"--dev", "--listen=127.0.0.1:0", "--listen", "0.0.0.0:0"}), HasSubstr("0.0.0.0:0: "));
}

TEST(Options, ListensOnLoopbackByDefault) {
  const auto options = Parse({"--dev"});
  ASSERT_THAT(options, IsOk());
  ASSERT_EQ(options->listen.size(), 1u);
  EXPECT_EQ(options->listen[0].target, "127.0.0.1:50051");
}

TEST(Options, LimitsReachTheirFields) {
  const auto options =
      Parse({"--dev", "--max-client-frame-bytes=1MiB", "--max-session-count=7", "--session-max-transport-count=8",
             "--max-transport-count=9", "--default-create-timeout=5s"});
  ASSERT_THAT(options, IsOk());
  EXPECT_EQ(options->session_limits.max_client_frame_bytes, 1u << 20);
  EXPECT_EQ(options->service_limits.max_session_count, 7u);
  EXPECT_EQ(options->session_limits.max_transport_count, 8u);
  EXPECT_EQ(options->service_limits.max_transport_count, 9u);
  EXPECT_EQ(options->session_limits.default_create_timeout, std::chrono::seconds(5));
}

TEST(Options, InheritedDescriptorsAreNumbers) {
  const auto options = Parse({"--dev", "--inherited-fd=0", "--inherited-fd", "17", "--spawn-helper=/x/helper"});
  ASSERT_THAT(options, IsOk());
  EXPECT_THAT(options->inherited_fds, testing::ElementsAre(0, 17));
  EXPECT_EQ(options->spawn_helper, "/x/helper");
  EXPECT_EQ(Parse({"--dev"})->spawn_helper, std::nullopt);
  for (const char* bad : {"--inherited-fd=-1", "--inherited-fd=3x", "--inherited-fd=99999999999"}) {
    EXPECT_THAT(Error({"--dev", bad}), HasSubstr("number of a descriptor")) << bad;
  }
}

TEST(Options, HelpAndVersionNeedNothingElse) {
  EXPECT_TRUE(Parse({"--help"})->help);
  EXPECT_TRUE(Parse({"--version"})->version);
}

}  // namespace
}  // namespace transportd
