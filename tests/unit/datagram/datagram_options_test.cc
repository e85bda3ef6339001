#include "transports/datagram/datagram_options.h"

#include <netdb.h>

#include <chrono>
#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

using testing::AllOf;
using Options = CreateDatagramEndpointOptions;

Options Internet() {
  Options options;
  options.local = HostPort{.host = "127.0.0.1", .port = 0};
  options.remote = HostPort{.host = "localhost", .port = 65535};
  options.proto = 17;
  options.flags = AI_NUMERICSERV;
  options.timeout = std::chrono::hours(1);
  return options;
}

Options Unix() {
  Options options;
  options.local_path = std::string(108, 'x');
  options.remote_path = std::string("\0abstract\0name", 14);
  return options;
}

TEST(ValidateCreateDatagramEndpoint, TakesTheLimits) {
  EXPECT_THAT(ValidateCreateDatagramEndpoint(Internet()), IsOk());
  EXPECT_THAT(ValidateCreateDatagramEndpoint(Unix()), IsOk());
  for (const AddressFamily family : {AddressFamily::kInet, AddressFamily::kInet6, AddressFamily::kUnix}) {
    Options options;
    options.family = family;
    EXPECT_THAT(ValidateCreateDatagramEndpoint(options), IsOk()) << "a family alone";
  }
  Options options = Unix();
  options.family = AddressFamily::kUnix;
  EXPECT_THAT(ValidateCreateDatagramEndpoint(options), IsOk());
}

struct BadInput {
  std::string name;
  Options options;
  std::function<void(Options&)> spoil;
  std::string reason;
  std::string field;
};

class ValidateCreateDatagramEndpointTest : public testing::TestWithParam<BadInput> {};

TEST_P(ValidateCreateDatagramEndpointTest, RefusesBadInput) {
  Options options = GetParam().options;
  GetParam().spoil(options);
  EXPECT_THAT(ValidateCreateDatagramEndpoint(options), AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                                                             HasReason(GetParam().reason), HasField(GetParam().field)));
}

INSTANTIATE_TEST_SUITE_P(
    , ValidateCreateDatagramEndpointTest,
    testing::Values(
        BadInput{"Nothing", Options(), [](Options&) {}, "INVALID_FAMILY", "family"},
        BadInput{"PathAndHost", Internet(), [](Options& o) { o.remote_path = "/x"; }, "INVALID_FAMILY", "family"},
        BadInput{"PathAndInet", Unix(), [](Options& o) { o.family = AddressFamily::kInet; }, "INVALID_FAMILY",
                 "family"},
        BadInput{"NoFamily", Internet(), [](Options& o) { o.family = AddressFamily(99); }, "INVALID_FAMILY", "family"},
        BadInput{"HostAndUnix", Internet(), [](Options& o) { o.family = AddressFamily::kUnix; }, "INVALID_FAMILY",
                 "family"},
        BadInput{"EmptyLocalHost", Internet(), [](Options& o) { o.local->host = ""; }, "INVALID_HOST", "local.host"},
        BadInput{"NoRemoteHost", Internet(), [](Options& o) { o.remote = HostPort(); }, "INVALID_HOST", "remote.host"},
        BadInput{"LargePort", Internet(), [](Options& o) { o.remote->port = 65536; }, "INVALID_PORT", "remote.port"},
        BadInput{"EmptyPath", Unix(), [](Options& o) { o.local_path = ""; }, "INVALID_PATH", "local_path"},
        BadInput{"LongPath", Unix(), [](Options& o) { o.remote_path = std::string(109, 'x'); }, "INVALID_PATH",
                 "remote_path"},
        BadInput{"PathWithZero", Unix(), [](Options& o) { o.local_path = std::string("a\0b", 3); }, "INVALID_PATH",
                 "local_path"},
        BadInput{"Tcp", Internet(), [](Options& o) { o.proto = 6; }, "INVALID_PROTO", "proto"},
        BadInput{"UdpOverUnix", Unix(), [](Options& o) { o.proto = 17; }, "INVALID_PROTO", "proto"},
        BadInput{"Flags", Internet(), [](Options& o) { o.flags = 1 << 30; }, "INVALID_FLAGS", "flags"},
        BadInput{"NoTime", Internet(), [](Options& o) { o.timeout = Duration(0); }, "INVALID_TIMEOUT", "timeout"},
        BadInput{"Limits", Internet(), [](Options& o) { o.write_buffer_limits = {.high_bytes = 1, .low_bytes = 2}; },
                 "INVALID_LIMITS", "low_bytes"}),
    [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace transportd
