#include <netdb.h>
#include <netinet/in.h>

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/loop/event_loop_fixture.h"

namespace transportd {
namespace {

using NameLookupTest = EventLoopFixture;

TEST_F(NameLookupTest, GetaddrinfoAnswersInALaterTurn) {
  resolver_.SetHosts("host", {"192.0.2.1", "2001:db8::1"});
  Outcome<std::vector<AddressInfo>> outcome;
  loop_->Getaddrinfo({.host = "host", .port = "80", .type = SocketType::kDatagram, .proto = IPPROTO_UDP},
                     Settled(outcome));
  EXPECT_FALSE(outcome.done());
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  ASSERT_EQ(outcome.value().size(), 2u);
  EXPECT_EQ(outcome.value()[1].address.ToString(), "[2001:db8::1]:80");
  EXPECT_EQ(outcome.value()[1].proto, IPPROTO_UDP);
  EXPECT_EQ(outcome.done_count, 1);
}

TEST_F(NameLookupTest, GetaddrinfoFailsAsTheResolverDoes) {
  Outcome<std::vector<AddressInfo>> outcome;
  loop_->Getaddrinfo({.host = "nobody"}, Settled(outcome));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("EAI_NONAME"));
  EXPECT_EQ(ToTransportError(outcome.status()).gai_code, EAI_NONAME);
}

TEST_F(NameLookupTest, CancelAnswersAtOnceAndOnce) {
  resolver_.Hold();
  Outcome<std::vector<AddressInfo>> outcome;
  outcome.id = loop_->Getaddrinfo({.host = "host"}, Settled(outcome));
  Turn();
  EXPECT_FALSE(outcome.done());
  loop_->CancelOperation(outcome.id);
  Turn();
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  resolver_.AnswerAll();
  Turn();
  EXPECT_EQ(outcome.done_count, 1);
}

TEST_F(NameLookupTest, LookUpUnderWayEndsWithTheLoop) {
  resolver_.Hold();
  Outcome<std::vector<AddressInfo>> outcome;
  loop_->Getaddrinfo({.host = "host"}, Settled(outcome));
  CloseLoop();
  resolver_.AnswerAll();
  EXPECT_FALSE(outcome.done());
}

TEST_F(NameLookupTest, Getnameinfo) {
  resolver_.SetHosts("host", {"192.0.2.1"});
  Outcome<NameInfo> outcome;
  loop_->Getnameinfo({.family = AddressFamily::kInet, .host = "192.0.2.1", .port = 80, .path = {}}, 0,
                     Settled(outcome));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_EQ(outcome.value(), (NameInfo{"host", "80"}));
}

TEST(NameLookup, OnTheSystemsResolver) {
  const auto loop = *EpollEventLoop::Create();
  std::optional<absl::StatusOr<NameInfo>> name;
  std::optional<absl::StatusOr<std::vector<AddressInfo>>> infos;
  loop->Getaddrinfo({.host = "127.0.0.1", .port = "1", .type = SocketType::kStream},
                    [&](absl::StatusOr<std::vector<AddressInfo>> result) { infos = std::move(result); });
  loop->Getnameinfo({.family = AddressFamily::kInet6, .host = "::1", .port = 65535, .path = {}},
                    NI_NUMERICHOST | NI_NUMERICSERV,
                    [&](absl::StatusOr<NameInfo> result) { name = std::move(result); });
  ASSERT_TRUE(RunUntil(loop->reactor(), [&] { return name.has_value() && infos.has_value(); }));
  EXPECT_EQ(**name, (NameInfo{"::1", "65535"}));
  ASSERT_EQ((*infos)->size(), 1u);
  EXPECT_EQ((*infos)->front().address.ToString(), "127.0.0.1:1");
}

}  // namespace
}  // namespace transportd
