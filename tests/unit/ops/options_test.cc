#include "server/ops/options.h"

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

using testing::HasSubstr;

absl::StatusOr<Options> Parse(std::vector<const char*> arguments) { return ParseOptions(arguments); }

std::string Error(std::vector<const char*> arguments) {
  const auto options = Parse(std::move(arguments));
  return options.ok() ? "" : ToTransportError(options.status()).message;
}

TEST(Options, WithoutDevAndPolicyNothingStarts) {
  EXPECT_THAT(Error({}), HasSubstr("Start it with --dev"));
  EXPECT_THAT(Error({"--listen=127.0.0.1:0"}), HasSubstr("Start it with --dev"));
}

TEST(Options, PolicyIsRefusedHonestly) {
  EXPECT_THAT(Error({"--policy=/etc/x"}), HasSubstr("no policies yet"));
  EXPECT_THAT(Error({"--dev", "--policy=/etc/x"}), HasSubstr("no policies yet"));
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
