#include "transports/datagram/endpoint_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/raw_datagram_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/base/sockaddr.h"
#include "transports/base/socket_option_table.h"

namespace transportd {
namespace {

using testing::IsEmpty;

constexpr EndpointSocketOptions kPlain{.descriptor_limit = std::numeric_limits<int>::max()};

SocketAddress Inet(const std::string& host, uint16_t port = 0) {
  SocketAddress address;
  address.family = host.find(':') == std::string::npos ? AddressFamily::kInet : AddressFamily::kInet6;
  address.host = host;
  address.port = port;
  return address;
}

EndpointAddresses Local(const SocketAddress& address) {
  EndpointAddresses addresses;
  addresses.family = address.family;
  addresses.local = address;
  return addresses;
}

EndpointAddresses Remote(const SocketAddress& address) {
  EndpointAddresses addresses;
  addresses.family = address.family;
  addresses.remote = address;
  return addresses;
}

TEST(PairAddresses, ListsOneSideAlone) {
  const std::vector<SocketAddress> list{Inet("::1", 1), Inet("127.0.0.1", 2)};
  const auto locals = PairAddresses(list, std::nullopt);
  ASSERT_EQ(locals.size(), 2u);
  EXPECT_EQ(locals[0].family, AddressFamily::kInet6);
  EXPECT_EQ(*locals[0].local, list[0]);
  EXPECT_FALSE(locals[0].remote.has_value());
  EXPECT_EQ(*locals[1].local, list[1]);
  const auto remotes = PairAddresses(std::nullopt, list);
  ASSERT_EQ(remotes.size(), 2u);
  EXPECT_EQ(*remotes[1].remote, list[1]);
  EXPECT_FALSE(remotes[1].local.has_value());
}

TEST(PairAddresses, PairsWhatIsOfOneFamily) {
  const auto pairs = PairAddresses(std::vector<SocketAddress>{Inet("::1", 1), Inet("127.0.0.1", 2), Inet("::2", 3)},
                                   std::vector<SocketAddress>{Inet("127.0.0.9", 4), Inet("::9", 5)});
  ASSERT_EQ(pairs.size(), 3u);
  EXPECT_EQ(pairs[0].local->port, 2);
  EXPECT_EQ(pairs[0].remote->port, 4);
  EXPECT_EQ(pairs[1].local->port, 1);
  EXPECT_EQ(pairs[1].remote->port, 5);
  EXPECT_EQ(pairs[2].local->port, 3);
  EXPECT_EQ(pairs[2].family, AddressFamily::kInet6);
  EXPECT_THAT(PairAddresses(std::vector<SocketAddress>{Inet("::1")}, std::vector<SocketAddress>{Inet("127.0.0.1")}),
              IsEmpty());
}

TEST(OpenEndpointSocket, BindsAndConnects) {
  const RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  EndpointAddresses addresses = Local(Inet("127.0.0.1"));
  addresses.remote = peer.address();
  const auto socket = OpenEndpointSocket({addresses}, kPlain);
  ASSERT_THAT(socket, IsOk());
  EXPECT_NE(GetSockname(socket->fd.get())->port, 0);
  EXPECT_EQ(*GetPeername(socket->fd.get()), peer.address());
  EXPECT_EQ(GetSocketOption(socket->fd.get(), SocketOption::kSoReuseaddr).value(), 0);
  EXPECT_EQ(GetSocketOption(socket->fd.get(), SocketOption::kSoReuseport).value(), 0);
  EXPECT_EQ(GetSocketOption(socket->fd.get(), SocketOption::kSoBroadcast).value(), 0);
}

TEST(OpenEndpointSocket, BroadcastIsNotConnected) {
  EndpointSocketOptions options = kPlain;
  options.allow_broadcast = options.reuse_port = true;
  const auto socket = OpenEndpointSocket({Remote(Inet("255.255.255.255", 9))}, options);
  ASSERT_THAT(socket, IsOk());
  EXPECT_THAT(GetPeername(socket->fd.get()), HasReason("ENOTCONN"));
  EXPECT_EQ(GetSocketOption(socket->fd.get(), SocketOption::kSoBroadcast).value(), 1);
  EXPECT_EQ(GetSocketOption(socket->fd.get(), SocketOption::kSoReuseport).value(), 1);
  EXPECT_THAT(OpenEndpointSocket({Remote(Inet("255.255.255.255", 9))}, kPlain), HasReason("EACCES"))
      << "connecting to it needs SO_BROADCAST";
}

TEST(OpenEndpointSocket, TheFirstThatWorksIsTaken) {
  const RawDatagramPeer used = RawDatagramPeer::OnLoopback();
  const auto socket = OpenEndpointSocket({Local(used.address()), Local(Inet("127.0.0.1"))}, kPlain);
  ASSERT_THAT(socket, IsOk());
  EXPECT_EQ(socket->addresses.local->port, 0);
}

TEST(OpenEndpointSocket, TheFirstErrorIsTheErrorAndAllAreItsCauses) {
  const RawDatagramPeer used = RawDatagramPeer::OnLoopback();
  const auto one = OpenEndpointSocket({Local(used.address())}, kPlain);
  EXPECT_THAT(one, HasReason("EADDRINUSE"));
  EXPECT_THAT(ToTransportError(one.status()).causes, IsEmpty());
  // TEST-NET-3: not an address of this machine.
  const auto two = OpenEndpointSocket({Local(used.address()), Local(Inet("203.0.113.1"))}, kPlain);
  EXPECT_THAT(two, HasReason("EADDRINUSE"));
  const TransportError error = ToTransportError(two.status());
  EXPECT_EQ(error.operation, "bind");
  ASSERT_EQ(error.causes.size(), 2u);
  EXPECT_EQ(error.causes[1].reason, "EADDRNOTAVAIL");
}

TEST(OpenEndpointSocket, NumberOverTheLimitIsRefused) {
  EndpointSocketOptions options = kPlain;
  options.descriptor_limit = 0;
  EXPECT_THAT(OpenEndpointSocket({Local(Inet("127.0.0.1"))}, options), HasReason("EMFILE"));
}

TEST(OpenEndpointSocket, StaleUnixSocketIsReplaced) {
  std::string directory = testing::TempDir() + "/endpoint-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  SocketAddress address;
  address.family = AddressFamily::kUnix;
  address.path = directory + "/s";
  { ASSERT_TRUE(RawDatagramPeer::OnPath(address.path).valid()); }
  {
    const auto socket = OpenEndpointSocket({Local(address)}, kPlain);
    ASSERT_THAT(socket, IsOk());
    EXPECT_EQ(*GetSockname(socket->fd.get()), address);
  }
  struct stat status {};
  EXPECT_EQ(::stat(address.path.c_str(), &status), 0) << "it stays when the endpoint is gone";
  EXPECT_THAT(OpenEndpointSocket({Remote(address)}, kPlain), HasReason("ECONNREFUSED"));
  ::unlink(address.path.c_str());
  EXPECT_THAT(OpenEndpointSocket({Remote(address)}, kPlain), HasReason("ENOENT"));
  ::rmdir(directory.c_str());
}

TEST(OpenEndpointSocket, AbstractNameNeedsNoFile) {
  SocketAddress address;
  address.family = AddressFamily::kUnix;
  address.path = std::string("\0transportd-endpoint-", 21) + std::to_string(::getpid());
  const auto first = OpenEndpointSocket({Local(address)}, kPlain);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(OpenEndpointSocket({Local(address)}, kPlain), HasReason("EADDRINUSE"));
  EXPECT_THAT(OpenEndpointSocket({Remote(address)}, kPlain), IsOk());
}

// With a gate.

EndpointSocketOptions Gated(FakeGate& gate) {
  EndpointSocketOptions options = kPlain;
  options.gate = &gate;
  return options;
}

TEST(OpenEndpointSocket, GateIsAskedForEachAddressOfEachCandidate) {
  FakeGate gate;
  gate.Refuse("connect 127.0.0.1:1");
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  EndpointAddresses first = Local(Inet("127.0.0.1")), second = first;
  first.remote = Inet("127.0.0.1", 1);
  second.remote = peer.address();
  const auto socket = OpenEndpointSocket({first, second}, Gated(gate));
  ASSERT_THAT(socket, IsOk());
  EXPECT_EQ(*GetPeername(socket->fd.get()), peer.address());
  EXPECT_THAT(gate.asked(), testing::ElementsAre("bind 127.0.0.1:0", "connect 127.0.0.1:1", "bind 127.0.0.1:0",
                                                 "connect " + peer.address().ToString()));
}

TEST(OpenEndpointSocket, GateRefusesAllOrAmongOthers) {
  FakeGate gate;
  gate.Refuse("bind");
  EXPECT_THAT(OpenEndpointSocket({Local(Inet("127.0.0.1"))}, Gated(gate)),
              testing::AllOf(StatusIs(absl::StatusCode::kPermissionDenied), HasReason("POLICY_DENIED")));
  const auto socket = OpenEndpointSocket({Local(Inet("127.0.0.1")), Remote(Inet("127.0.0.1", 9))}, Gated(gate));
  EXPECT_THAT(socket, IsOk());
}

TEST(OpenEndpointSocket, GatePicksThePort) {
  RawDatagramPeer used = RawDatagramPeer::OnLoopback();
  FakeGate gate;
  gate.ranges = {{.first = used.address().port, .last = used.address().port}};
  EXPECT_THAT(OpenEndpointSocket({Local(Inet("127.0.0.1"))}, Gated(gate)), HasReason("EADDRINUSE"));
  const uint16_t port = used.address().port;
  used.Close();
  const auto socket = OpenEndpointSocket({Local(Inet("127.0.0.1"))}, Gated(gate));
  ASSERT_THAT(socket, IsOk());
  EXPECT_EQ(GetSockname(socket->fd.get())->port, port);
}

TEST(OpenEndpointSocket, BroadcastIsNotConnectedAndSoNotAskedAbout) {
  FakeGate gate;
  EndpointSocketOptions options = Gated(gate);
  options.allow_broadcast = true;
  EXPECT_THAT(OpenEndpointSocket({Remote(Inet("255.255.255.255", 9))}, options), IsOk());
  EXPECT_THAT(gate.asked(), IsEmpty());
}

TEST(OpenEndpointSocket, GatedUnixSocketInUseStays) {
  const TempDir directory;
  const SocketAddress address = {.family = AddressFamily::kUnix, .path = directory.Path("s")};
  FakeGate gate;
  for (const bool forbids_symlinks : {true, false}) {
    gate.forbids_symlinks = forbids_symlinks;
    {
      const auto owner = OpenEndpointSocket({Local(address)}, kPlain);
      ASSERT_THAT(owner, IsOk());
      const auto socket = OpenEndpointSocket({Local(address)}, Gated(gate));
      EXPECT_THAT(socket, HasReason("EADDRINUSE"));
      EXPECT_EQ(ToTransportError(socket.status()).address, address.path);
      EXPECT_THAT(OpenEndpointSocket({Remote(address)}, kPlain), IsOk()) << "it is reached as before";
    }
    EXPECT_THAT(OpenEndpointSocket({Local(address)}, Gated(gate)), IsOk()) << "what is stale goes";
    {
      const auto owner = OpenEndpointSocket({Local(address)}, kPlain);
      EXPECT_THAT(OpenEndpointSocket({Local(address)}, kPlain), IsOk()) << "without a gate as asyncio does";
    }
  }
}

TEST(OpenEndpointSocket, GatedUnixEndsFollowNoLink) {
  const TempDir directory;
  ASSERT_EQ(::symlink(".", directory.Path("link").c_str()), 0);
  const auto unix_address = [&](const char* name) {
    return SocketAddress{.family = AddressFamily::kUnix, .path = directory.Path(name)};
  };
  FakeGate gate;
  gate.forbids_symlinks = true;
  const RawDatagramPeer peer = RawDatagramPeer::OnPath(directory.Path("peer"));
  EndpointAddresses both = Local(unix_address("s"));
  both.remote = unix_address("peer");
  {
    const auto socket = OpenEndpointSocket({both}, Gated(gate));
    ASSERT_THAT(socket, IsOk());
    EXPECT_EQ(socket->addresses.local, both.local);
    EXPECT_TRUE(directory.Exists("s"));
  }
  EXPECT_THAT(OpenEndpointSocket({both}, Gated(gate)), IsOk()) << "what is stale goes";
  EXPECT_THAT(OpenEndpointSocket({Local(unix_address("link/s"))}, Gated(gate)), HasReason("ELOOP"));
  EXPECT_THAT(OpenEndpointSocket({Remote(unix_address("link/peer"))}, Gated(gate)), HasReason("ELOOP"));
  gate.Refuse("bind");
  EXPECT_THAT(OpenEndpointSocket({both}, Gated(gate)), HasReason("POLICY_DENIED"));
  EXPECT_TRUE(directory.Exists("s"));
}

}  // namespace
}  // namespace transportd
