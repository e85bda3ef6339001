#include "clients/cpp/service_target.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace transportd {
namespace {

using Kind = ServiceTarget::Kind;

TEST(ServiceTarget, OfOneHost) {
  struct Case {
    std::string_view text;
    std::string_view host;
    uint16_t port;
  };
  for (const Case& c : {Case{"example.org:50051", "example.org", 50051}, Case{"dns:example.org:1", "example.org", 1},
                        Case{"dns:///example.org:1", "example.org", 1}, Case{"example.org", "example.org", 443},
                        Case{"[::1]:7", "::1", 7}, Case{"[::1]", "::1", 443}, Case{"ipv4:127.0.0.1:7", "127.0.0.1", 7},
                        Case{"ipv6:[::1]:7", "::1", 7}}) {
    const ServiceTarget target = ParseServiceTarget(c.text);
    EXPECT_EQ(target.kind, Kind::kTcp) << c.text;
    EXPECT_EQ(target.host, c.host) << c.text;
    EXPECT_EQ(target.port, c.port) << c.text;
  }
}

TEST(ServiceTarget, OfAUnixSocket) {
  for (const char* text : {"unix:/run/x", "unix:///run/x", "unix:x", "unix-abstract:x"}) {
    EXPECT_EQ(ParseServiceTarget(text).kind, Kind::kUnix) << text;
    EXPECT_TRUE(ParseServiceTarget(text).is_local()) << text;
  }
}

TEST(ServiceTarget, OfWhatOnlyGrpcUnderstands) {
  for (const char* text : {"", ":1", "h:0", "h:65536", "h:x", "[::1", "[::1]7", "::1", "xds:///h", "vsock:1:2",
                           "dns://1.1.1.1/h:1", "ipv4:127.0.0.1:1,127.0.0.2:1", "a:1,b:1"}) {
    EXPECT_EQ(ParseServiceTarget(text).kind, Kind::kOther) << text;
    EXPECT_FALSE(ParseServiceTarget(text).is_local()) << text;
  }
}

TEST(ServiceTarget, IsLocalWhenItStaysWithinTheMachine) {
  for (const char* text :
       {"127.0.0.1:1", "127.255.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1", "LocalHost:1"}) {
    EXPECT_TRUE(ParseServiceTarget(text).is_local()) << text;
  }
  for (const char* text : {"128.0.0.1:1", "0.0.0.0:1", "[::]:1", "[::ffff:10.0.0.1]:1", "localhost.org:1",
                           "a.localhost:1", "mylocalhost:1", "127.0.0.1.nip.io:1", "127.1:1"}) {
    EXPECT_FALSE(ParseServiceTarget(text).is_local()) << text;
  }
}

}  // namespace
}  // namespace transportd
