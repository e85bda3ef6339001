#include "transports/datagram/multicast.h"

#include <ifaddrs.h>
#include <net/if.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/datagram/datagram_fixture.h"

namespace transportd {
namespace {

using testing::AllOf;

// IPv4 multicast works over loopback. That of IPv6 needs a route for it, which loopback has not: there a real interface
// is used, with a group that never leaves the machine (RFC 4291, section 2.7: interface-local). 0: none.
unsigned MulticastInterface(AddressFamily family) {
  if (family == AddressFamily::kInet) return ::if_nametoindex("lo");
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return 0;
  constexpr unsigned kNeeded = IFF_UP | IFF_RUNNING | IFF_MULTICAST;
  unsigned index = 0;
  for (const ifaddrs* entry = list; entry != nullptr && index == 0; entry = entry->ifa_next) {
    const bool has_inet6 = entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET6;
    if (has_inet6 && (entry->ifa_flags & kNeeded) == kNeeded) index = ::if_nametoindex(entry->ifa_name);
  }
  ::freeifaddrs(list);
  return index;
}

class MulticastTest : public DatagramFixture, public testing::WithParamInterface<AddressFamily> {
 protected:
  bool IsInet() const { return GetParam() == AddressFamily::kInet; }
  MulticastGroup Group() const {
    return {.address = IsInet() ? "239.255.77.77" : "ff01::7777", .interface_index = MulticastInterface(GetParam())};
  }
  absl::Status Join(const MulticastGroup& group) {
    absl::Status status = absl::UnknownError("not done");
    transport_->JoinGroup(group, [&](absl::Status result) { status = result; });
    return status;
  }
  absl::Status Leave(const MulticastGroup& group) {
    absl::Status status = absl::UnknownError("not done");
    transport_->LeaveGroup(group, [&](absl::Status result) { status = result; });
    return status;
  }
  absl::Status Set(SocketOption option, int value) {
    absl::Status status = absl::UnknownError("not done");
    transport_->Setsockopt(option, value, [&](absl::Status result) { status = result; });
    return status;
  }
};

INSTANTIATE_TEST_SUITE_P(, MulticastTest, testing::Values(AddressFamily::kInet, AddressFamily::kInet6),
                         [](const auto& parameter) {
                           return parameter.param == AddressFamily::kInet ? "Inet" : "Inet6";
                         });

TEST_P(MulticastTest, MembersReceiveAndOthersDoNot) {
  const MulticastGroup group = Group();
  if (group.interface_index == 0) GTEST_SKIP() << "this machine has no interface for IPv6 multicast";
  SocketAddress any = Loopback(GetParam());
  any.host = IsInet() ? "0.0.0.0" : "::";
  Open(GetParam(), {.local = any});
  ASSERT_THAT(Join(group), IsOk());
  ASSERT_THAT(Set(IsInet() ? SocketOption::kIpMulticastIf : SocketOption::kIpv6MulticastIf,
                  static_cast<int>(group.interface_index)),
              IsOk());
  SocketAddress to;
  to.family = GetParam();
  to.host = group.address;
  to.port = Sockname().port;
  ASSERT_THAT(transport_->SendTo("member", &to), IsOk());
  ASSERT_TRUE(RunUntil([&] { return !record_.received.empty() || !record_.errors.empty(); }));
  ASSERT_EQ(record_.errors.size(), 0u) << record_.errors[0];
  EXPECT_EQ(record_.received[0], "member");

  ASSERT_THAT(Leave(group), IsOk());
  ASSERT_THAT(transport_->SendTo("stranger", &to), IsOk());
  const SocketAddress self = Loopback(GetParam(), Sockname().port);
  ASSERT_THAT(transport_->SendTo("end", &self), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record_.received.back() == "end"; }));
  EXPECT_EQ(record_.received.size(), 2u);
  EXPECT_THAT(Leave(group), HasReason("EADDRNOTAVAIL")) << "it has left";
}

TEST_P(MulticastTest, RefusesWhatIsNoGroup) {
  Open(GetParam(), {.local = Loopback(GetParam())});
  MulticastGroup group = Group();
  group.address = "localhost";
  EXPECT_THAT(Join(group), AllOf(HasReason("INVALID_HOST"), HasField("address")));
  group.address = IsInet() ? "ff01::1" : "224.0.0.1";
  EXPECT_THAT(Join(group), HasReason("INVALID_HOST"));
  group.address = IsInet() ? "127.0.0.1" : "::1";
  EXPECT_THAT(Join(group), HasReason("EINVAL"));
  group = Group();
  group.interface_index = 1 << 30;
  EXPECT_THAT(Join(group), HasReason("ENODEV"));
  ASSERT_THAT(Join(Group()), IsOk());
  EXPECT_THAT(Join(Group()), HasReason("EADDRINUSE"));
}

TEST_F(DatagramFixture, UnixSocketsHaveNoGroups) {
  Open(AddressFamily::kUnix, {});
  absl::Status status;
  transport_->JoinGroup({.address = "224.0.0.1"}, [&](absl::Status result) { status = result; });
  EXPECT_THAT(status, HasReason("INVALID_FAMILY"));
}

}  // namespace
}  // namespace transportd
