#include "transports/tcp/create_options.h"

#include <netdb.h>

#include <chrono>
#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transports/resolver/lookup.h"

namespace transportd {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;
using testing::AllOf;

template <typename Options>
struct BadInput {
  std::string name;
  std::function<void(Options&)> spoil;
  std::string reason;
  std::string field;
};

CreateConnectionOptions GoodConnection() {
  CreateConnectionOptions options;
  options.remote = {.host = "localhost", .port = 65535};
  options.local = HostPort{.host = "127.0.0.1", .port = 0};
  options.flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  options.proto = 6;
  options.happy_eyeballs_delay = hours(1);
  options.interleave = 1000;
  options.timeout = hours(1);
  return options;
}

TEST(ValidateCreateConnection, TakesTheLimits) {
  EXPECT_THAT(ValidateCreateConnection(GoodConnection()), IsOk());
  CreateConnectionOptions options;
  options.remote.port = 0;
  EXPECT_THAT(ValidateCreateConnection(options), IsOk()) << "no host is loopback";
  options.remote = {.host = "fe80::1%" + std::string(63, 'x'), .port = {}};
  options.happy_eyeballs_delay = nanoseconds(0);
  options.timeout = nanoseconds(1);
  EXPECT_THAT(ValidateCreateConnection(options), IsOk());
}

class ValidateCreateConnectionTest : public testing::TestWithParam<BadInput<CreateConnectionOptions>> {};

TEST_P(ValidateCreateConnectionTest, RefusesBadInput) {
  CreateConnectionOptions options = GoodConnection();
  GetParam().spoil(options);
  EXPECT_THAT(ValidateCreateConnection(options), AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                                                       HasReason(GetParam().reason), HasField(GetParam().field)));
}

using ConnectionOptions = CreateConnectionOptions;
INSTANTIATE_TEST_SUITE_P(
    , ValidateCreateConnectionTest,
    testing::ValuesIn(std::vector<BadInput<ConnectionOptions>>{
        {"NoRemote", [](ConnectionOptions& o) { o.remote = {}; }, "INVALID_HOST", "remote.host"},
        {"EmptyHost", [](ConnectionOptions& o) { o.remote.host = ""; }, "INVALID_HOST", "remote.host"},
        {"LongHost", [](ConnectionOptions& o) { o.remote.host = std::string(254, 'x'); }, "INVALID_HOST",
         "remote.host"},
        {"LongScope", [](ConnectionOptions& o) { o.remote.host = "fe80::1%" + std::string(64, 'z'); }, "INVALID_HOST",
         "remote.host"},
        {"NulInHost", [](ConnectionOptions& o) { o.remote.host = std::string("a\0b", 3); }, "INVALID_HOST",
         "remote.host"},
        {"Port", [](ConnectionOptions& o) { o.remote.port = 65536; }, "INVALID_PORT", "remote.port"},
        {"LocalHost", [](ConnectionOptions& o) { o.local->host = ""; }, "INVALID_HOST", "local.host"},
        {"LocalPort", [](ConnectionOptions& o) { o.local->port = 70000; }, "INVALID_PORT", "local.port"},
        {"Family", [](ConnectionOptions& o) { o.family = AddressFamily::kUnix; }, "INVALID_FAMILY", "family"},
        {"NoFamily", [](ConnectionOptions& o) { o.family = AddressFamily(99); }, "INVALID_FAMILY", "family"},
        {"Flags", [](ConnectionOptions& o) { o.flags = 1 << 20; }, "INVALID_FLAGS", "flags"},
        {"Proto", [](ConnectionOptions& o) { o.proto = 17; }, "INVALID_PROTO", "proto"},
        {"ZeroTimeout", [](ConnectionOptions& o) { o.timeout = nanoseconds(0); }, "INVALID_TIMEOUT", "timeout"},
        {"NegativeTimeout", [](ConnectionOptions& o) { o.timeout = nanoseconds(-1); }, "INVALID_TIMEOUT", "timeout"},
        {"LongTimeout", [](ConnectionOptions& o) { o.timeout = hours(2); }, "INVALID_TIMEOUT", "timeout"},
        {"NegativeDelay", [](ConnectionOptions& o) { o.happy_eyeballs_delay = nanoseconds(-1); }, "INVALID_TIMEOUT",
         "happy_eyeballs_delay"},
        {"LongDelay", [](ConnectionOptions& o) { o.happy_eyeballs_delay = hours(2); }, "INVALID_TIMEOUT",
         "happy_eyeballs_delay"},
        {"Interleave", [](ConnectionOptions& o) { o.interleave = 1001; }, "INVALID_INTERLEAVE", "interleave"},
    }),
    [](const auto& parameter) { return parameter.param.name; });

TEST(ValidateCreateConnection, RefusesBadLimits) {
  CreateConnectionOptions options = GoodConnection();
  options.write_buffer_limits = {.high_bytes = 1, .low_bytes = 2};
  EXPECT_THAT(ValidateCreateConnection(options), HasReason("INVALID_LIMITS"));
}

class ValidateCreateServerTest : public testing::TestWithParam<BadInput<CreateServerOptions>> {};

TEST_P(ValidateCreateServerTest, RefusesBadInput) {
  CreateServerOptions options;
  options.hosts.assign(64, "");
  options.backlog = 65535;
  ASSERT_THAT(ValidateCreateServer(options), IsOk());
  GetParam().spoil(options);
  EXPECT_THAT(ValidateCreateServer(options), AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                                                   HasReason(GetParam().reason), HasField(GetParam().field)));
}

TEST(CreateOptions, BoundsOfAHostAreTheResolversOwn) {
  for (const std::string& host : {std::string(253, 'x'), std::string(254, 'x'), "fe80::1%" + std::string(63, 'z'),
                                  "fe80::1%" + std::string(64, 'z')}) {
    CreateServerOptions options;
    options.hosts = {host};
    ResolveRequest request;
    request.address.host = host;
    EXPECT_EQ(ValidateCreateServer(options).ok(), ValidateRequest(request).ok()) << host;
  }
}

using ServerOptions = CreateServerOptions;
INSTANTIATE_TEST_SUITE_P(
    , ValidateCreateServerTest,
    testing::ValuesIn(std::vector<BadInput<ServerOptions>>{
        {"LongScope", [](ServerOptions& o) { o.hosts = {"fe80::1%" + std::string(64, 'z')}; }, "INVALID_HOST", "hosts"},
        {"ManyHosts", [](ServerOptions& o) { o.hosts.resize(65); }, "INVALID_HOST", "hosts"},
        {"LongHost",
         [](ServerOptions& o) {
           o.hosts = {"ok", std::string(254, 'x')};
         },
         "INVALID_HOST", "hosts"},
        {"Port", [](ServerOptions& o) { o.port = 65536; }, "INVALID_PORT", "port"},
        {"Family", [](ServerOptions& o) { o.family = AddressFamily::kUnix; }, "INVALID_FAMILY", "family"},
        {"Flags", [](ServerOptions& o) { o.flags = -1; }, "INVALID_FLAGS", "flags"},
        {"ZeroBacklog", [](ServerOptions& o) { o.backlog = 0; }, "INVALID_BACKLOG", "backlog"},
        {"LargeBacklog", [](ServerOptions& o) { o.backlog = 65536; }, "INVALID_BACKLOG", "backlog"},
        {"Timeout", [](ServerOptions& o) { o.timeout = nanoseconds(0); }, "INVALID_TIMEOUT", "timeout"},
    }),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace transportd
