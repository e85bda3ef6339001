#include "transports/tcp/interleave.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace transportd {
namespace {

// "4a 6b …": each address's family and name.
std::string Interleave(const std::vector<std::string>& names, uint32_t count) {
  std::vector<SocketAddress> addresses;
  for (const std::string& name : names) {
    SocketAddress& address = addresses.emplace_back();
    address.family = name[0] == '4' ? AddressFamily::kInet : AddressFamily::kInet6;
    address.host = name;
  }
  std::string result;
  for (const SocketAddress& address : InterleaveAddresses(addresses, count)) {
    if (!result.empty()) result += ' ';
    result += address.host;
  }
  return result;
}

// The expectations are what CPython's base_events._interleave_addrinfos answers.
TEST(InterleaveAddresses, ZeroKeepsTheOrder) { EXPECT_EQ(Interleave({"6a", "6b", "4a"}, 0), "6a 6b 4a"); }

TEST(InterleaveAddresses, OneAlternates) {
  EXPECT_EQ(Interleave({"6a", "6b", "6c", "4a", "4b"}, 1), "6a 4a 6b 4b 6c");
  EXPECT_EQ(Interleave({"4a", "6a", "6b", "6c"}, 1), "4a 6a 6b 6c");
}

TEST(InterleaveAddresses, TwoOfTheFirstFamilyComeFirst) {
  EXPECT_EQ(Interleave({"6a", "6b", "6c", "4a", "4b"}, 2), "6a 6b 4a 6c 4b");
}

TEST(InterleaveAddresses, MoreThanThereAreTakesTheFirstFamilyWhole) {
  EXPECT_EQ(Interleave({"6a", "4a", "6b", "4b"}, 9), "6a 6b 4a 4b");
}

TEST(InterleaveAddresses, OneFamilyStaysAsItIs) {
  EXPECT_EQ(Interleave({"4a", "4b", "4c"}, 1), "4a 4b 4c");
  EXPECT_EQ(Interleave({"4a", "4b", "4c"}, 2), "4a 4b 4c");
  EXPECT_EQ(Interleave({}, 3), "");
}

}  // namespace
}  // namespace transportd
