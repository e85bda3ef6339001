#include "clients/cpp/transportctl/endpoint.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd::ctl {
namespace {

using testing::HasSubstr;

std::string ErrorOf(std::string_view text) {
  const auto endpoint = ParseEndpoint(text, false);
  return endpoint.ok() ? "" : std::string(endpoint.status().message());
}

TEST(HostPortText, IsReadAsPeopleWriteIt) {
  struct Case {
    std::string_view text;
    std::optional<std::string> host;
    uint32_t port;
  };
  for (const Case& c : {Case{"localhost:80", "localhost", 80}, Case{"[::1]:443", "::1", 443},
                        Case{"[fe80::1%eth0]:65535", "fe80::1%eth0", 65535}, Case{":8080", std::nullopt, 8080}}) {
    const auto host_port = ParseHostPort(c.text, false);
    ASSERT_THAT(host_port, IsOk()) << c.text;
    EXPECT_EQ(host_port->host, c.host);
    EXPECT_EQ(host_port->port, c.port);
  }
}

TEST(HostPortText, BadOnesAreRefused) {
  for (const std::string_view text : {"", "host", "host:", "host:http", "host:65536", "host:-1", "host:+1", "host: 1",
                                      "::1:80", "[::1]", "[::1]80", "[::1", "host:99999999999999999999"}) {
    EXPECT_THAT(ParseHostPort(text, false), testing::Not(IsOk())) << text;
  }
}

TEST(Endpoint, UnixPathsAndAbstractNames) {
  const auto path = ParseEndpoint("unix:/run/a:b", false);
  ASSERT_THAT(path, IsOk());
  EXPECT_EQ(path->unix_path, "/run/a:b");
  const auto name = ParseEndpoint("unix:@x", true);
  ASSERT_THAT(name, IsOk());
  EXPECT_EQ(name->unix_path, std::string("\0x", 2));
  const auto host = ParseEndpoint("unix.example:80", false);
  ASSERT_THAT(host, IsOk());
  EXPECT_FALSE(host->is_unix());
  EXPECT_EQ(host->host_port.host, "unix.example");
}

TEST(Endpoint, BadUnixPathsAreRefused) {
  EXPECT_THAT(ErrorOf("unix:"), HasSubstr("the path is missing; write unix:PATH"));
  EXPECT_THAT(ErrorOf("unix:@"), HasSubstr("the name is missing"));
  EXPECT_EQ(ErrorOf("unix:" + std::string(108, 'x')), "");
  EXPECT_THAT(ErrorOf("unix:" + std::string(109, 'x')), HasSubstr("at most 108 bytes"));
}

TEST(EndpointText, IsWhatCanBeRead) {
  SocketAddress address;
  address.family = AddressFamily::kUnix;
  EXPECT_EQ(EndpointText(address), "(unnamed)");
  for (const std::string_view text : {"unix:/run/x", "unix:@x"}) {
    address.path = *ParseEndpoint(text, false)->unix_path;
    EXPECT_EQ(EndpointText(address), text);
  }
  EXPECT_EQ(EndpointText({.family = AddressFamily::kInet6, .host = "::1", .port = 80}), "[::1]:80");
}

}  // namespace
}  // namespace transportd::ctl
