#include "transports/base/gated_bind.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/status_matchers.h"
#include "transports/base/sockaddr.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Le;

SocketAddress Loopback(uint16_t port = 0, AddressFamily family = AddressFamily::kInet) {
  SocketAddress address;
  address.family = family;
  address.host = family == AddressFamily::kInet ? "127.0.0.1" : "::1";
  address.port = port;
  return address;
}

UniqueFd Socket(int type = SOCK_STREAM, AddressFamily family = AddressFamily::kInet) {
  return UniqueFd(::socket(AddressFamilyToNumber(family), type | SOCK_CLOEXEC, 0));
}

// Free for the moment: `count` ports in a row.
PortRange FreeRange(uint16_t count) {
  for (;;) {
    const UniqueFd probe = Socket();
    EXPECT_THAT(BindAllowed(probe.get(), Loopback(), nullptr), IsOk());
    const uint16_t first = GetSockname(probe.get())->port;
    if (first > 65535 - count) continue;
    std::vector<UniqueFd> more;
    bool all = true;
    for (int i = 1; i < count && all; ++i) {
      more.push_back(Socket());
      all = BindAllowed(more.back().get(), Loopback(static_cast<uint16_t>(first + i)), nullptr).ok();
    }
    if (all) return {.first = first, .last = static_cast<uint16_t>(first + count - 1)};
  }
}

TEST(BindAllowed, WithoutAGateBindsWhatIsAskedFor) {
  const UniqueFd socket = Socket();
  EXPECT_THAT(BindAllowed(socket.get(), Loopback(), nullptr), IsOk());
  const SocketAddress bound = *GetSockname(socket.get());
  EXPECT_NE(bound.port, 0);
  EXPECT_THAT(BindAllowed(Socket().get(), bound, nullptr), HasReason("EADDRINUSE"));
}

TEST(BindAllowed, RefusalIsTheErrorAndNothingIsBound) {
  FakeGate gate;
  gate.Refuse("bind 127.0.0.1:0");
  const UniqueFd socket = Socket();
  EXPECT_THAT(BindAllowed(socket.get(), Loopback(), &gate),
              AllOf(StatusIs(absl::StatusCode::kPermissionDenied), HasReason("POLICY_DENIED")));
  EXPECT_EQ(GetSockname(socket.get())->port, 0);
  EXPECT_THAT(gate.asked(), ElementsAre("bind 127.0.0.1:0"));
}

TEST(BindAllowed, WithoutRangesTheKernelPicks) {
  FakeGate gate;
  const UniqueFd socket = Socket();
  EXPECT_THAT(BindAllowed(socket.get(), Loopback(), &gate), IsOk());
  EXPECT_NE(GetSockname(socket.get())->port, 0);
}

TEST(BindAllowed, RangesAreForPortZeroOnly) {
  const PortRange free = FreeRange(2);
  FakeGate gate;
  gate.ranges = {{.first = free.first, .last = free.first}};
  const UniqueFd socket = Socket();
  EXPECT_THAT(BindAllowed(socket.get(), Loopback(free.last), &gate), IsOk());
  EXPECT_EQ(GetSockname(socket.get())->port, free.last);
}

TEST(BindAllowed, EveryPortOfTheRangesIsTakenOnceAndThenTheyAreInUse) {
  for (const AddressFamily family : {AddressFamily::kInet, AddressFamily::kInet6}) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      const PortRange free = FreeRange(7);
      FakeGate gate;
      // Two ranges, and a hole between them.
      gate.ranges = {{.first = free.first, .last = static_cast<uint16_t>(free.first + 2)},
                     {.first = static_cast<uint16_t>(free.first + 4), .last = free.last}};
      std::vector<UniqueFd> sockets;
      std::set<int> ports;
      for (int i = 0; i < 6; ++i) {
        sockets.push_back(Socket(type, family));
        ASSERT_THAT(BindAllowed(sockets.back().get(), Loopback(0, family), &gate), IsOk());
        ports.insert(GetSockname(sockets.back().get())->port - free.first);
      }
      EXPECT_THAT(ports, ElementsAre(0, 1, 2, 4, 5, 6));
      EXPECT_THAT(BindAllowed(Socket(type, family).get(), Loopback(0, family), &gate), HasReason("EADDRINUSE"));
    }
  }
}

TEST(BindAllowed, ThePortIsRandom) {
  FakeGate gate;
  gate.ranges = {{.first = 30000, .last = 60000}};
  std::set<int> ports;
  for (int i = 0; i < 20; ++i) {
    const UniqueFd socket = Socket();
    ASSERT_THAT(BindAllowed(socket.get(), Loopback(), &gate), IsOk());
    const int port = GetSockname(socket.get())->port;
    EXPECT_THAT(port, AllOf(Ge(30000), Le(60000)));
    ports.insert(port);
  }
  EXPECT_GT(ports.size(), 10u);
}

TEST(BindAllowed, APortOfTheRangesIsNotSharedWhateverTheSocketSays) {
  const PortRange free = FreeRange(1);
  FakeGate gate;
  gate.ranges = {free};
  for (const int option : {SO_REUSEADDR, SO_REUSEPORT}) {
    const UniqueFd first = Socket(), second = Socket();
    const int on = 1;
    for (const UniqueFd* socket : {&first, &second}) {
      ASSERT_EQ(::setsockopt(socket->get(), SOL_SOCKET, option, &on, sizeof(on)), 0);
    }
    ASSERT_THAT(BindAllowed(first.get(), Loopback(), &gate), IsOk());
    EXPECT_THAT(BindAllowed(second.get(), Loopback(), &gate), HasReason("EADDRINUSE"));
    // They are what they were.
    for (const UniqueFd* socket : {&first, &second}) {
      int value = 0;
      socklen_t size = sizeof(value);
      ASSERT_EQ(::getsockopt(socket->get(), SOL_SOCKET, option, &value, &size), 0);
      EXPECT_EQ(value, 1);
    }
  }
}

TEST(BindAllowed, AnyOtherErrorEndsTheSearch) {
  FakeGate gate;
  gate.ranges = {{.first = 30000, .last = 60000}};
  SocketAddress elsewhere = Loopback();
  elsewhere.host = "203.0.113.1";
  EXPECT_THAT(BindAllowed(Socket().get(), elsewhere, &gate), HasReason("EADDRNOTAVAIL"));
}

TEST(BindAllowed, WhatIsNoAddressIsNotAskedAbout) {
  FakeGate gate;
  SocketAddress bad = Loopback();
  bad.host = "localhost";
  EXPECT_THAT(BindAllowed(Socket().get(), bad, &gate), HasReason("INVALID_HOST"));
  EXPECT_THAT(gate.asked(), IsEmpty());
}

TEST(NamesASource, OnlyTheKernelsChoiceOfBothIsNone) {
  SocketAddress any = Loopback();
  any.host = "0.0.0.0";
  EXPECT_FALSE(NamesASource(any));
  any.port = 80;
  EXPECT_TRUE(NamesASource(any));
  EXPECT_TRUE(NamesASource(Loopback()));
  SocketAddress any6 = Loopback(0, AddressFamily::kInet6);
  EXPECT_TRUE(NamesASource(any6));
  any6.host = "::";
  EXPECT_FALSE(NamesASource(any6));
  any6.host = "::ffff:0.0.0.0";
  EXPECT_TRUE(NamesASource(any6));
}

}  // namespace
}  // namespace transportd
