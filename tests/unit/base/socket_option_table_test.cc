#include "transports/base/socket_option_table.h"

#include <net/if.h>
#include <sys/socket.h>

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

TEST(SocketOptionTable, SetIsReadBack) {
  TcpPair pair = MakeTcpPair();
  const struct {
    SocketOption option;
    int value;
  } cases[] = {
      {SocketOption::kTcpNodelay, 1},
      {SocketOption::kTcpNodelay, 0},
      {SocketOption::kSoKeepalive, 1},
      {SocketOption::kTcpKeepidle, 30},
      {SocketOption::kTcpKeepintvl, 32767},
      {SocketOption::kTcpKeepcnt, 127},
      {SocketOption::kTcpUserTimeout, 5000},
      {SocketOption::kTcpCork, 1},
      {SocketOption::kSoReuseaddr, 1},
      {SocketOption::kSoOobinline, 1},
      {SocketOption::kSoPriority, 6},
      {SocketOption::kIpTos, 0x10},
      {SocketOption::kIpTtl, 33},
      {SocketOption::kSoLinger, 0},
      {SocketOption::kSoLinger, -1},
  };
  for (const auto& one : cases) {
    ASSERT_THAT(SetSocketOption(pair.first.get(), one.option, one.value), IsOk()) << SocketOptionName(one.option);
    EXPECT_EQ(GetSocketOption(pair.first.get(), one.option).value(), one.value) << SocketOptionName(one.option);
  }
}

TEST(SocketOptionTable, DatagramOptionsAreReadBack) {
  const UniqueFd inet(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const UniqueFd inet6(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int loopback = static_cast<int>(::if_nametoindex("lo"));
  const struct {
    int fd;
    SocketOption option;
    int value;
  } cases[] = {
      {inet.get(), SocketOption::kSoBroadcast, 1},
      {inet.get(), SocketOption::kIpMulticastTtl, 255},
      {inet.get(), SocketOption::kIpMulticastTtl, 0},
      {inet.get(), SocketOption::kIpMulticastLoop, 0},
      {inet6.get(), SocketOption::kIpv6MulticastHops, 7},
      {inet6.get(), SocketOption::kIpv6MulticastLoop, 0},
      {inet6.get(), SocketOption::kIpv6MulticastIf, loopback},
  };
  for (const auto& one : cases) {
    ASSERT_THAT(SetSocketOption(one.fd, one.option, one.value), IsOk()) << SocketOptionName(one.option);
    EXPECT_EQ(GetSocketOption(one.fd, one.option).value(), one.value) << SocketOptionName(one.option);
  }
}

TEST(SocketOptionTable, MulticastInterfaceOfIpv4IsSetByIndexAndNotRead) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  EXPECT_THAT(SetSocketOption(fd.get(), SocketOption::kIpMulticastIf, static_cast<int>(::if_nametoindex("lo"))),
              IsOk());
  EXPECT_THAT(SetSocketOption(fd.get(), SocketOption::kIpMulticastIf, 1 << 30), HasReason("EADDRNOTAVAIL"));
  EXPECT_THAT(GetSocketOption(fd.get(), SocketOption::kIpMulticastIf),
              testing::AllOf(HasReason("INVALID_OPTION_VALUE"), HasField("option")));
}

TEST(SocketOptionTable, KernelDoublesBufferSizes) {
  TcpPair pair = MakeTcpPair();
  ASSERT_THAT(SetSocketOption(pair.first.get(), SocketOption::kSoRcvbuf, 16384), IsOk());
  EXPECT_EQ(GetSocketOption(pair.first.get(), SocketOption::kSoRcvbuf).value(), 32768);
}

TEST(SocketOptionTable, EveryOptionOnTheListIsKnownHere) {
  TcpPair pair = MakeTcpPair();
  for (int number = 1; SocketOptionFromNumber(number).has_value(); ++number) {
    if (SocketOptionFromNumber(number) == SocketOption::kIpMulticastIf) continue;  // Cannot be read.
    const absl::Status status = GetSocketOption(pair.first.get(), *SocketOptionFromNumber(number)).status();
    EXPECT_TRUE(status.ok() || ToTransportError(status).errno_number != 0) << DescribeStatus(status);
  }
}

TEST(SocketOptionTable, ValueOutOfRangeNamesFieldAndRange) {
  TcpPair pair = MakeTcpPair();
  const struct {
    SocketOption option;
    int value;
  } cases[] = {
      {SocketOption::kTcpNodelay, 2},      {SocketOption::kTcpNodelay, -1},
      {SocketOption::kTcpKeepidle, 0},     {SocketOption::kTcpKeepcnt, 128},
      {SocketOption::kTcpUserTimeout, -1}, {SocketOption::kTcpMaxseg, 87},
      {SocketOption::kSoRcvbuf, 4194305},  {SocketOption::kSoPriority, 7},
      {SocketOption::kIpTtl, 0},           {SocketOption::kSoLinger, -2},
      {SocketOption::kSoLinger, 1},        {SocketOption::kSoSndbuf, std::numeric_limits<int>::max()},
  };
  for (const auto& one : cases) {
    const absl::Status status = SetSocketOption(pair.first.get(), one.option, one.value);
    EXPECT_THAT(status, HasReason("INVALID_OPTION_VALUE")) << SocketOptionName(one.option);
    EXPECT_THAT(status, HasField("value"));
  }
  EXPECT_EQ(SetSocketOption(pair.first.get(), SocketOption::kTcpKeepcnt, 128).message(),
            "value: TCP_KEEPCNT is 128, must be from 1 to 127");
}

TEST(SocketOptionTable, ReadOnlyOptionsAreReadAndNotSet) {
  RawListener listener;
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(GetSocketOption(fd.get(), SocketOption::kSoType).value(), SOCK_STREAM);
  EXPECT_EQ(GetSocketOption(fd.get(), SocketOption::kSoAcceptconn).value(), 0);
  EXPECT_EQ(GetSocketOption(fd.get(), SocketOption::kSoError).value(), 0);
  for (SocketOption option :
       {SocketOption::kIpv6V6only, SocketOption::kSoError, SocketOption::kSoType, SocketOption::kSoAcceptconn}) {
    EXPECT_THAT(SetSocketOption(fd.get(), option, 1), HasReason("INVALID_OPTION_VALUE"));
    EXPECT_THAT(SetSocketOption(fd.get(), option, 1), HasField("option"));
  }
}

TEST(SocketOptionTable, OptionOffTheListIsUnknown) {
  EXPECT_THAT(GetSocketOption(-1, static_cast<SocketOption>(32)), HasReason("UNKNOWN_OPTION"));
  EXPECT_THAT(SetSocketOption(-1, static_cast<SocketOption>(0), 1), HasReason("UNKNOWN_OPTION"));
}

TEST(SocketOptionTable, KernelsRefusalIsPassedOn) {
  EXPECT_THAT(GetSocketOption(-1, SocketOption::kTcpNodelay), HasReason("EBADF"));
  TcpPair pair = MakeTcpPair();
  EXPECT_THAT(SetSocketOption(pair.first.get(), SocketOption::kIpv6UnicastHops, 5), HasReason("ENOPROTOOPT"));
}

}  // namespace
}  // namespace transportd
