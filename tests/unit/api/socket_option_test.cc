#include "transports/api/socket_option.h"

#include <set>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(SocketOption, NumbersOneTo31AreOnTheListAndNoOthers) {
  std::set<std::string_view> names;
  for (int number = 1; number <= 31; ++number) {
    ASSERT_TRUE(SocketOptionFromNumber(number).has_value()) << number;
    EXPECT_EQ(static_cast<int>(*SocketOptionFromNumber(number)), number);
    names.insert(SocketOptionName(*SocketOptionFromNumber(number)));
  }
  EXPECT_EQ(names.size(), 31u);
  for (int number : {-1, 0, 32, 1 << 30}) EXPECT_FALSE(SocketOptionFromNumber(number).has_value()) << number;
}

TEST(SocketOption, NameIsTheManualsName) {
  EXPECT_EQ(SocketOptionName(SocketOption::kTcpNodelay), "TCP_NODELAY");
  EXPECT_EQ(SocketOptionName(SocketOption::kSoLinger), "SO_LINGER");
  EXPECT_EQ(SocketOptionName(SocketOption::kIpv6MulticastIf), "IPV6_MULTICAST_IF");
  EXPECT_EQ(SocketOptionName(static_cast<SocketOption>(99)), "UNKNOWN_OPTION");
}

}  // namespace
}  // namespace transportd
