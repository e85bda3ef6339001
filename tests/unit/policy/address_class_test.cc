#include "server/policy/address_class.h"

#include <string>

#include "gtest/gtest.h"

namespace transportd {
namespace {

SocketAddress NumericAddress(const std::string& host, uint16_t port = 0) {
  SocketAddress address;
  address.family = host.find(':') == std::string::npos ? AddressFamily::kInet : AddressFamily::kInet6;
  address.host = host;
  address.port = port;
  return address;
}

AddressClass ClassOf(const std::string& host) { return Classify(NumericAddress(host), ActionProtocol::kTcp, {}); }

struct Row {
  const char* host;
  AddressClass address_class;
};

TEST(AddressClass, AgreesWithPythonsIpaddress) {
  constexpr Row kRows[] = {
#include "tests/unit/policy/address_table.inc"
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(AddressClassName(ClassOf(row.host)), AddressClassName(row.address_class)) << row.host;
  }
}

TEST(AddressClass, EachOfTheListHasItsClass) {
  constexpr Row kRows[] = {
      {"0.0.0.0", AddressClass::kWildcard},
      {"::", AddressClass::kWildcard},
      {"127.0.0.1", AddressClass::kLoopback},
      {"127.255.255.254", AddressClass::kLoopback},
      {"::1", AddressClass::kLoopback},
      {"169.254.1.1", AddressClass::kLinkLocal},
      {"fe80::1", AddressClass::kLinkLocal},
      {"febf::1", AddressClass::kLinkLocal},
      {"10.0.0.1", AddressClass::kPrivate},
      {"172.16.0.1", AddressClass::kPrivate},
      {"172.32.0.1", AddressClass::kGlobal},
      {"192.168.0.1", AddressClass::kPrivate},
      {"fd00::1", AddressClass::kPrivate},
      {"fec0::1", AddressClass::kPrivate},
      {"100.64.0.1", AddressClass::kCgnat},
      {"100.128.0.1", AddressClass::kGlobal},
      {"224.0.0.1", AddressClass::kMulticast},
      {"ff02::1", AddressClass::kMulticast},
      {"255.255.255.255", AddressClass::kBroadcast},
      {"64:ff9b::8.8.8.8", AddressClass::kV4Embedded},
      {"64:ff9b:1::8.8.8.8", AddressClass::kV4Embedded},
      {"2002:808:808::1", AddressClass::kV4Embedded},
      {"2001:0:102:304::1", AddressClass::kV4Embedded},
      {"::8.8.8.8", AddressClass::kV4Embedded},
      {"2001:db9::5efe:8.8.8.8", AddressClass::kV4Embedded},
      {"64:ff9b::127.0.0.1", AddressClass::kV4Embedded},
      {"240.0.0.1", AddressClass::kReserved},
      {"192.0.2.1", AddressClass::kReserved},
      {"2001:db8::1", AddressClass::kReserved},
      {"0.0.0.1", AddressClass::kReserved},
      {"4000::1", AddressClass::kReserved},
      {"8.8.8.8", AddressClass::kGlobal},
      {"2606:4700::1111", AddressClass::kGlobal},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(AddressClassName(ClassOf(row.host)), AddressClassName(row.address_class)) << row.host;
  }
}

TEST(AddressClass, MappedAddressIsTheIpv4AddressInEverySpelling) {
  for (const char* host : {"::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:0001", "::FFFF:7F00:1"}) {
    EXPECT_EQ(ClassOf(host), AddressClass::kLoopback) << host;
  }
  EXPECT_EQ(ClassOf("::ffff:0.0.0.0"), AddressClass::kWildcard);
  EXPECT_EQ(ClassOf("::ffff:8.8.8.8"), AddressClass::kGlobal);
}

TEST(AddressClass, MetadataIsFoundBehindEveryEmbedding) {
  for (const char* host : {
           "169.254.169.254",
           "169.254.170.2",
           "169.254.170.23",
           "100.100.100.200",
           "168.63.129.16",
           "192.0.0.192",
           "fd00:ec2::254",
           "fd00:ec2::23",
           "fd20:ce::254",
           "::ffff:169.254.169.254",               // Mapped.
           "::169.254.169.254",                    // Compatible.
           "::ffff:0:169.254.169.254",             // Translated.
           "64:ff9b::169.254.169.254",             // NAT64.
           "64:ff9b:1::169.254.169.254",           // Local NAT64, /96,
           "64:ff9b:1:0:a9:fea9:fe00:0",           // /64,
           "64:ff9b:1:a9:fe:a9fe::",               // /56,
           "64:ff9b:1:a9fe:a9:fe00::",             // /48.
           "2002:a9fe:a9fe::1",                    // 6to4.
           "2001:0:a9fe:a9fe::1",                  // Teredo: the server,
           "2001:0:102:304:0:0:5601:5601",         // the client.
           "2606:4700::5efe:169.254.169.254",      // ISATAP,
           "2606:4700::200:5efe:169.254.169.254",  // of a global address,
           "fe80::5efe:169.254.169.254",           // on the link.
       }) {
    EXPECT_EQ(AddressClassName(ClassOf(host)), "METADATA") << host;
  }
}

TEST(AddressClass, WhatInetPtonDoesNotTakeIsNone) {
  for (const char* host :
       {"", "0", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.01", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4.5",
        "localhost", "[::1]", "::1/128", "1::2::3", ":", "::ffff:1.2.3", "::g"}) {
    EXPECT_EQ(AddressClassName(ClassOf(host)), "NONE") << host;
  }
  EXPECT_EQ(ClassOf(std::string("127.0.0.1\0", 10)), AddressClass::kNone);
  EXPECT_EQ(ClassOf(std::string(1000, ':')), AddressClass::kNone);
  SocketAddress crossed = NumericAddress("127.0.0.1");
  crossed.family = AddressFamily::kInet6;
  EXPECT_EQ(Classify(crossed, ActionProtocol::kTcp, {}), AddressClass::kNone);
  crossed.family = AddressFamily::kUnix;
  EXPECT_EQ(Classify(crossed, ActionProtocol::kTcp, {}), AddressClass::kNone);
}

TEST(AddressClass, ScopeChangesNothing) {
  EXPECT_EQ(ClassOf("fe80::1%2"), AddressClass::kLinkLocal);
  EXPECT_EQ(ClassOf("fd00:ec2::254%eth0"), AddressClass::kMetadata);
  SocketAddress scoped = NumericAddress("fd00:ec2::254");
  scoped.scope_id = 7;
  EXPECT_EQ(Classify(scoped, ActionProtocol::kTcp, {}), AddressClass::kMetadata);
}

TEST(AddressClass, OwnPortIsSelfAtEveryAddressOfTheHost) {
  SelfAddresses self;
  self.AddOwnPort(50051, ActionProtocol::kTcp);
  self.AddLocal(*IpAddress::Parse("10.1.2.3"));
  self.AddLocal(*IpAddress::Parse("2606:4700::5"));
  const auto class_of = [&](const char* host, uint16_t port, ActionProtocol protocol = ActionProtocol::kTcp) {
    return Classify(NumericAddress(host, port), protocol, self);
  };
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "10.1.2.3", "::ffff:10.1.2.3",
                           "2606:4700::5", "64:ff9b::10.1.2.3", "2002:a01:203::1"}) {
    EXPECT_EQ(AddressClassName(class_of(host, 50051)), "SELF") << host;
  }
  EXPECT_EQ(class_of("10.1.2.4", 50051), AddressClass::kPrivate);
  EXPECT_EQ(class_of("127.0.0.1", 50052), AddressClass::kLoopback);
  EXPECT_EQ(class_of("127.0.0.1", 0), AddressClass::kLoopback);
  EXPECT_EQ(class_of("127.0.0.1", 50051, ActionProtocol::kUdp), AddressClass::kLoopback);
  EXPECT_EQ(class_of("127.0.0.1", 50051, ActionProtocol::kNone), AddressClass::kLoopback);
}

TEST(AddressClass, ClusterAndNodeAreSelfAsTheEnvironmentNamesThem) {
  SelfAddresses self;
  self.AddEnvironment([](const char* name) -> const char* {
    const std::string_view text = name;
    if (text == "KUBERNETES_SERVICE_HOST") return "10.96.0.1";
    if (text == "KUBERNETES_SERVICE_PORT") return "443";
    if (text == "NODE_IP") return "fd00::10";
    return nullptr;
  });
  EXPECT_EQ(Classify(NumericAddress("10.96.0.1", 443), ActionProtocol::kTcp, self), AddressClass::kSelf);
  EXPECT_EQ(Classify(NumericAddress("10.96.0.1", 80), ActionProtocol::kTcp, self), AddressClass::kPrivate);
  EXPECT_EQ(Classify(NumericAddress("fd00::10", 10250), ActionProtocol::kTcp, self), AddressClass::kSelf);
  EXPECT_EQ(Classify(NumericAddress("fd00::11", 10250), ActionProtocol::kTcp, self), AddressClass::kPrivate);
}

TEST(AddressClass, EnvironmentThatHoldsNoNumbersAddsNothing) {
  for (const char* value : {"", "kubernetes.default", "443x", "-1", "70000"}) {
    SelfAddresses self;
    self.AddEnvironment([&](const char*) { return value; });
    EXPECT_FALSE(self.Contains(*IpAddress::Parse("10.96.0.1"), 443, ActionProtocol::kTcp)) << value;
  }
}

TEST(SelfAddresses, ServerOfThisHostIsReachedByTheWildcard) {
  SelfAddresses self;
  self.Add(*IpAddress::Parse("127.0.0.1"), 7, ActionProtocol::kTcp);
  self.Add(*IpAddress::Parse("10.9.9.9"), 8, ActionProtocol::kTcp);
  EXPECT_TRUE(self.Contains(*IpAddress::Parse("0.0.0.0"), 7, ActionProtocol::kTcp));
  EXPECT_FALSE(self.Contains(*IpAddress::Parse("0.0.0.0"), 8, ActionProtocol::kTcp));
  EXPECT_FALSE(self.Contains(*IpAddress::Parse("127.0.0.2"), 7, ActionProtocol::kTcp));
}

TEST(SelfAddresses, InterfacesOfThisHostAreLocal) {
  SelfAddresses self;
  ASSERT_TRUE(self.AddLocalOfInterfaces().ok());
  EXPECT_TRUE(self.IsLocal(*IpAddress::Parse("127.0.0.1")));
  EXPECT_FALSE(self.IsLocal(*IpAddress::Parse("192.0.2.77")));
}

TEST(IpNetwork, ContainsItsAddressesAndNoneOfTheOtherFamily) {
  const auto contains = [](const char* network, const char* address) {
    return IpNetwork::Parse(network)->Contains(*IpAddress::Parse(address));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("10.0.0.0/8", "::ffff:10.1.1.1"));
  EXPECT_TRUE(contains("::ffff:10.0.0.0/104", "10.1.1.1"));
  EXPECT_TRUE(contains("0.0.0.0/0", "255.255.255.255"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_FALSE(contains("::/0", "1.1.1.1"));
  EXPECT_FALSE(contains("::/0", "::ffff:1.1.1.1"));
  EXPECT_TRUE(contains("1.2.3.4", "1.2.3.4"));
  EXPECT_FALSE(contains("1.2.3.4", "1.2.3.5"));
  EXPECT_TRUE(contains("2001:db8::/63", "2001:db8:0:1::9"));
  EXPECT_FALSE(contains("2001:db8::/63", "2001:db8:0:2::"));
  EXPECT_TRUE(contains("2001:db8::/65", "2001:db8::7fff:0:0:1"));
  EXPECT_FALSE(contains("2001:db8::/65", "2001:db8::8000:0:0:1"));
  EXPECT_TRUE(contains("::1/128", "::1"));
}

TEST(IpNetwork, ParsesOnlyNetworks) {
  for (const char* text : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8 ",
                           "10.0.0.0/255.0.0.0", "::/129", "::ffff:0:0/95", "10/8", "fe80::1%2/64", "x/8"}) {
    EXPECT_FALSE(IpNetwork::Parse(text)) << text;
  }
  EXPECT_FALSE(IpNetwork::Parse("10.0.0.1/8")->IsCanonical());
  EXPECT_FALSE(IpNetwork::Parse("fd00::1/64")->IsCanonical());
  EXPECT_FALSE(IpNetwork::Parse("fd00:0:0:1::/63")->IsCanonical());
  EXPECT_TRUE(IpNetwork::Parse("fd00:0:0:2::/63")->IsCanonical());
  EXPECT_TRUE(IpNetwork::Parse("0.0.0.0/0")->IsCanonical());
}

}  // namespace
}  // namespace transportd
