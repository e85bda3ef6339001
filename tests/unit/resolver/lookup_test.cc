#include "transports/resolver/lookup.h"

#include <netdb.h>
#include <netinet/in.h>

#include <cerrno>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/resolver/requests.h"

namespace transportd {
namespace {

TEST(ValidateRequest, PortOver65535IsInvalidPort) {
  EXPECT_THAT(ValidateRequest(Request("a", 65535)), IsOk());
  for (uint32_t port : {65536u, 70000u, 4294967295u}) {
    EXPECT_THAT(ValidateRequest(Request("a", port)), HasReason("INVALID_PORT"));
    EXPECT_THAT(ValidateRequest(Request("a", port)), HasField("port"));
  }
}

TEST(ValidateRequest, BadHostsAreInvalidHost) {
  for (const std::string& host : {std::string(), std::string("a\0b", 3), std::string(254, 'a'),
                                  std::string(100000, 'a'), "fe80::1%" + std::string(1000, 'e')}) {
    EXPECT_THAT(ValidateRequest(Request(host)), HasReason("INVALID_HOST"));
    EXPECT_THAT(ValidateRequest(Request(host)), HasField("host"));
  }
}

TEST(ValidateRequest, LongestHostAndAnyScopeAreGood) {
  EXPECT_THAT(ValidateRequest(Request(std::string(253, 'a'))), IsOk());
  EXPECT_THAT(ValidateRequest(Request("fe80::1%eth0")), IsOk());
  EXPECT_THAT(ValidateRequest(Request(std::nullopt)), IsOk());
}

TEST(LookUpNumeric, NumbersAreAnswered) {
  EXPECT_THAT(LookUpNumeric(Request("127.0.0.1", 80)).value().value(), testing::ElementsAre(Inet("127.0.0.1", 80)));
  EXPECT_THAT(LookUpNumeric(Request("::1", 65535)).value().value(), testing::ElementsAre(Inet6("::1", 65535)));
  // inet_aton's short forms, as getaddrinfo takes them.
  EXPECT_THAT(LookUpNumeric(Request("127.1")).value().value(), testing::ElementsAre(Inet("127.0.0.1", 0)));
}

TEST(LookUpNumeric, ScopeBecomesItsIndex) {
  auto answer = LookUpNumeric(Request("fe80::1%lo", 1));
  ASSERT_TRUE(answer.has_value());
  if (!answer->ok()) GTEST_SKIP() << "no interface called lo";
  EXPECT_EQ((*answer)->front().host, "fe80::1");
  EXPECT_NE((*answer)->front().scope_id, 0u);
}

TEST(LookUpNumeric, UnsetHostIsLoopbackOrWithPassiveTheWildcard) {
  ResolveRequest request = Request(std::nullopt, 5);
  request.family = AddressFamily::kInet;
  EXPECT_THAT(LookUpNumeric(request).value().value(), testing::ElementsAre(Inet("127.0.0.1", 5)));
  request.flags = AI_PASSIVE;
  EXPECT_THAT(LookUpNumeric(request).value().value(), testing::ElementsAre(Inet("0.0.0.0", 5)));
  request.family = AddressFamily::kUnspecified;
  EXPECT_THAT(LookUpNumeric(request).value().value(),
              testing::UnorderedElementsAre(Inet("0.0.0.0", 5), Inet6("::", 5)));
}

TEST(LookUpNumeric, NamesAreLeftToTheNameServices) {
  EXPECT_FALSE(LookUpNumeric(Request("localhost")).has_value());
  EXPECT_FALSE(LookUpNumeric(Request("host.invalid")).has_value());
}

TEST(LookUpNumeric, NameWithNumericHostFlagIsNoName) {
  ResolveRequest request = Request("localhost");
  request.flags = AI_NUMERICHOST;
  auto answer = LookUpNumeric(request);
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(*answer, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(*answer, HasReason("EAI_NONAME"));
}

TEST(LookUpNumeric, NumberOfTheOtherFamilyIsNotFound) {
  ResolveRequest request = Request("127.0.0.1");
  request.family = AddressFamily::kInet6;
  auto answer = LookUpNumeric(request);
  ASSERT_TRUE(answer.has_value());
  EXPECT_THAT(*answer, StatusIs(absl::StatusCode::kNotFound));
}

TEST(LookUpNumeric, BadFlagsAndProtocolsAreInvalidArgument) {
  ResolveRequest request = Request("127.0.0.1");
  request.flags = 0x40000000;
  EXPECT_THAT(LookUpNumeric(request).value(), HasReason("EAI_BADFLAGS"));
  request.flags = 0;
  request.proto = IPPROTO_UDP;  // Never a stream.
  EXPECT_THAT(LookUpNumeric(request).value(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(LookUpName, LocalhostIsLoopback) {
  ResolveRequest request = Request("localhost", 7);
  request.family = AddressFamily::kInet;
  EXPECT_THAT(LookUpName(request).value(), testing::Contains(Inet("127.0.0.1", 7)));
}

TEST(GaiToStatus, CarriesCodeReasonAndHost) {
  const absl::Status status = GaiToStatus(EAI_NONAME, 0, "getaddrinfo", "host.invalid");
  const TransportError error = ToTransportError(status);
  EXPECT_EQ(error.code, absl::StatusCode::kNotFound);
  EXPECT_EQ(error.reason, "EAI_NONAME");
  EXPECT_EQ(error.gai_code, EAI_NONAME);
  EXPECT_EQ(error.errno_number, 0);
  EXPECT_EQ(error.operation, "getaddrinfo");
  EXPECT_EQ(error.address, "host.invalid");
  EXPECT_EQ(error.message, std::string("getaddrinfo host.invalid: ") + gai_strerror(EAI_NONAME));
}

TEST(GaiToStatus, WantOfDescriptorsIsSaidWhateverTheCode) {
  const absl::Status status = GaiToStatus(EAI_NONAME, EMFILE, "getaddrinfo", "host.invalid");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(status, HasReason("EMFILE"));
}

TEST(GaiToStatus, EveryCodeOfTheManualHasItsName) {
  EXPECT_THAT(GaiToStatus(EAI_AGAIN, 0, "getaddrinfo", "h"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(GaiToStatus(EAI_AGAIN, 0, "getaddrinfo", "h"), HasReason("EAI_AGAIN"));
  EXPECT_THAT(GaiToStatus(EAI_MEMORY, 0, "getaddrinfo", "h"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(GaiToStatus(EAI_NODATA, 0, "getaddrinfo", "h"), HasReason("EAI_NODATA"));
  EXPECT_THAT(GaiToStatus(EAI_FAIL, 0, "getaddrinfo", "h"), HasReason("EAI_FAIL"));
  EXPECT_THAT(GaiToStatus(-77, 0, "getaddrinfo", "h"), HasReason("EAI_77"));
}

TEST(GaiToStatus, SystemErrorIsTheErrno) {
  const TransportError error = ToTransportError(GaiToStatus(EAI_SYSTEM, EMFILE, "getaddrinfo", "h"));
  EXPECT_EQ(error.code, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(error.reason, "EMFILE");
  EXPECT_EQ(error.errno_number, EMFILE);
  EXPECT_EQ(error.gai_code, EAI_SYSTEM);
}

}  // namespace
}  // namespace transportd
