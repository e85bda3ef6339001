#include "server/policy/peer_name.h"

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(PeerName, IsReadAsItIsWritten) {
  const SocketAddress v4 = {.family = AddressFamily::kInet, .host = "192.0.2.1", .port = 4711};
  EXPECT_EQ(PeerName(v4), "ipv4:192.0.2.1:4711");
  EXPECT_EQ(ParsePeerName("ipv4:192.0.2.1:4711"), v4);
  const SocketAddress v6 = {.family = AddressFamily::kInet6, .host = "fe80::1%eth0", .port = 1};
  EXPECT_EQ(PeerName(v6), "ipv6:%5Bfe80::1%25eth0%5D:1");
  EXPECT_EQ(ParsePeerName("ipv6:%5Bfe80::1%25eth0%5D:1"), v6);
  EXPECT_EQ(PeerName({.family = AddressFamily::kUnix, .path = "/run/x"}), "unix:");
  EXPECT_EQ(ParsePeerName("unix:/run/x")->family, AddressFamily::kUnix);
}

TEST(PeerName, WhatIsNoneIsNotRead) {
  for (const char* name : {"", "ipv4:", "ipv4:192.0.2.1", "ipv4:192.0.2.1:", "ipv4:192.0.2.1:65536",
                           "ipv4:192.0.2.1:1x", "ipv6:[::1]:1", "ipv6:%5B::1:1", "dns:example:1"}) {
    EXPECT_FALSE(ParsePeerName(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace transportd
