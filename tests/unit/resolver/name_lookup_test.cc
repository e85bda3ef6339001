#include "transports/resolver/name_lookup.h"

#include <netdb.h>
#include <netinet/in.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/resolver/requests.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

using testing::AllOf;

TEST(ValidateGetaddrinfo, ByteZeroAndEndlessNamesAreRefused) {
  EXPECT_THAT(ValidateGetaddrinfo({}), IsOk());
  EXPECT_THAT(ValidateGetaddrinfo({.host = "", .port = ""}), IsOk()) << "the system's to answer";
  EXPECT_THAT(ValidateGetaddrinfo({.family = AddressFamily(99)}),
              AllOf(HasReason("INVALID_FAMILY"), HasField("family")));
  EXPECT_THAT(ValidateGetaddrinfo({.host = std::string("a\0b", 3)}),
              AllOf(HasReason("INVALID_HOST"), HasField("host")));
  EXPECT_THAT(ValidateGetaddrinfo({.host = std::string(2000, 'a')}), HasReason("INVALID_HOST"));
  EXPECT_THAT(ValidateGetaddrinfo({.port = std::string("8\0", 2)}), AllOf(HasReason("INVALID_PORT"), HasField("port")));
  EXPECT_THAT(ValidateGetaddrinfo({.port = std::string(2000, '1')}), HasReason("INVALID_PORT"));
}

TEST(LookUpAddressInfo, AnswersEachTypeAndProtocolInTheSystemsOrder) {
  const auto infos = LookUpAddressInfo({.host = "127.0.0.1", .port = "80"});
  ASSERT_THAT(infos, IsOk());
  ASSERT_EQ(infos->size(), 3u) << "stream, datagram, raw";
  EXPECT_EQ(infos->front(), (AddressInfo{.family = AddressFamily::kInet,
                                         .type = SocketType::kStream,
                                         .proto = IPPROTO_TCP,
                                         .canonname = {},
                                         .address = Inet("127.0.0.1", 80)}));
  EXPECT_EQ((*infos)[1].type, SocketType::kDatagram);
  EXPECT_EQ((*infos)[1].proto, IPPROTO_UDP);
  EXPECT_EQ((*infos)[2].type, SocketType::kRaw);
}

TEST(LookUpAddressInfo, HintsNarrowIt) {
  const auto infos = LookUpAddressInfo(
      {.port = "0", .family = AddressFamily::kInet6, .type = SocketType::kDatagram, .flags = AI_PASSIVE});
  ASSERT_THAT(infos, IsOk());
  ASSERT_EQ(infos->size(), 1u);
  EXPECT_EQ(infos->front().address.ToString(), "[::]:0");
  EXPECT_EQ(infos->front().proto, IPPROTO_UDP);
}

TEST(LookUpAddressInfo, TellsTheCanonicalName) {
  const auto infos = LookUpAddressInfo({.host = "127.0.0.1", .flags = AI_CANONNAME});
  ASSERT_THAT(infos, IsOk());
  EXPECT_EQ(infos->front().canonname, "127.0.0.1");
}

TEST(LookUpAddressInfo, FailsAsTheSystemDoes) {
  const auto nothing = LookUpAddressInfo({});
  EXPECT_THAT(nothing, HasReason("EAI_NONAME"));
  EXPECT_EQ(ToTransportError(nothing.status()).gai_code, EAI_NONAME);
  EXPECT_THAT(LookUpAddressInfo({.host = "name", .flags = AI_NUMERICHOST}), HasReason("EAI_NONAME"));
  EXPECT_THAT(LookUpAddressInfo({.host = "127.0.0.1", .flags = 1 << 30}), HasReason("EAI_BADFLAGS"));
  EXPECT_THAT(LookUpAddressInfo({.host = "127.0.0.1", .family = AddressFamily::kUnix}), HasReason("EAI_FAMILY"));
  EXPECT_THAT(LookUpAddressInfo({.host = "127.0.0.1", .type = static_cast<SocketType>(77)}), HasReason("EAI_SOCKTYPE"));
  EXPECT_THAT(LookUpAddressInfo({.host = "127.0.0.1", .port = "no-such-service"}), HasReason("EAI_SERVICE"));
}

TEST(LookUpNameInfo, NumbersAndServices) {
  const auto raw = ToNamedAddress(Inet("127.0.0.1", 80));
  ASSERT_THAT(raw, IsOk());
  EXPECT_EQ(*LookUpNameInfo(*raw, NI_NUMERICHOST | NI_NUMERICSERV), (NameInfo{"127.0.0.1", "80"}));
  EXPECT_THAT(LookUpNameInfo(*raw, 1 << 30), HasReason("EAI_BADFLAGS"));
}

TEST(LookUpNameInfo, ScopeIsKept) {
  const auto raw =
      ToNamedAddress({.family = AddressFamily::kInet6, .host = "fe80::1", .port = 9, .scope_id = 999999, .path = {}});
  ASSERT_THAT(raw, IsOk());
  EXPECT_EQ(*LookUpNameInfo(*raw, NI_NUMERICHOST | NI_NUMERICSERV), (NameInfo{"fe80::1%999999", "9"}));
}

TEST(LookUpNameInfo, OnlyNumericInternetAddressesHaveNames) {
  EXPECT_THAT(ToNamedAddress(Inet("name", 80)), HasReason("INVALID_HOST"));
  EXPECT_THAT(ToNamedAddress({.family = AddressFamily::kUnix, .path = "/x"}), HasReason("INVALID_FAMILY"));
  EXPECT_THAT(ToNamedAddress({}), HasReason("INVALID_FAMILY"));
}

TEST(LookUpNameInfo, NoNameWhereOneIsRequired) {
  const auto raw = ToNamedAddress(Inet("127.255.255.254", 80));
  ASSERT_THAT(raw, IsOk());
  const auto info = LookUpNameInfo(*raw, NI_NAMEREQD);
  if (info.ok()) GTEST_SKIP() << "this machine has a name for 127.255.255.254";
  const TransportError error = ToTransportError(info.status());
  EXPECT_EQ(error.operation, "getnameinfo");
  EXPECT_NE(error.gai_code, 0);
  EXPECT_EQ(error.address, "127.255.255.254:80");
}

}  // namespace
}  // namespace transportd
