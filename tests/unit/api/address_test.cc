#include "transports/api/address.h"

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(SocketAddress, ToStringWritesIpv4WithPort) {
  EXPECT_EQ((SocketAddress{.family = AddressFamily::kInet, .host = "127.0.0.1", .port = 80, .path = {}}.ToString()),
            "127.0.0.1:80");
}

TEST(SocketAddress, ToStringBracketsIpv6AndShowsItsScope) {
  SocketAddress address{.family = AddressFamily::kInet6, .host = "fe80::1", .port = 65535, .path = {}};
  EXPECT_EQ(address.ToString(), "[fe80::1]:65535");
  address.scope_id = 2;
  EXPECT_EQ(address.ToString(), "[fe80::1%2]:65535");
}

TEST(SocketAddress, ToStringTellsUnixPathsAbstractAndUnnamedApart) {
  SocketAddress address{.family = AddressFamily::kUnix, .host = {}, .path = "/run/x"};
  EXPECT_EQ(address.ToString(), "/run/x");
  address.path = std::string("\0name", 5);
  EXPECT_EQ(address.ToString(), "@name");
  address.path.clear();
  EXPECT_EQ(address.ToString(), "(unnamed)");
}

TEST(SocketAddress, ToStringEscapesControlBytesOfAPath) {
  EXPECT_EQ((SocketAddress{.family = AddressFamily::kUnix, .host = {}, .path = "/a\n\x1b[0m"}.ToString()),
            "/a\\n\\x1b[0m");
}

TEST(SocketAddress, ToStringOfNothingIsUnspecified) { EXPECT_EQ(SocketAddress().ToString(), "(unspecified)"); }

TEST(SocketAddress, ComparesEveryField) {
  SocketAddress a{.family = AddressFamily::kInet6, .host = "::1", .port = 1, .path = {}};
  SocketAddress b = a;
  EXPECT_EQ(a, b);
  b.scope_id = 1;
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace transportd
