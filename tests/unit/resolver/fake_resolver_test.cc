#include "tests/support/fake_resolver.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/resolver/requests.h"

namespace transportd {
namespace {

TEST(FakeResolver, AnswersFromItsTableWithTheRequestsPort) {
  FakeResolver resolver;
  resolver.SetHosts("two", {"::1", "127.0.0.1"});
  std::vector<std::string> answer;
  resolver.Resolve(Request("two", 8), {}, [&](FakeResolver::Answer result) {
    for (const SocketAddress& address : result.value()) answer.push_back(address.ToString());
  });
  EXPECT_THAT(answer, testing::ElementsAre("[::1]:8", "127.0.0.1:8"));
  resolver.Resolve(Request("other"), {},
                   [&](FakeResolver::Answer result) { EXPECT_THAT(result, HasReason("EAI_NONAME")); });
  EXPECT_EQ(resolver.requests().size(), 2u);
}

TEST(FakeResolver, HeldRequestsWaitForTheirAnswer) {
  FakeResolver resolver;
  resolver.Hold();
  int answered = 0;
  for (int i = 0; i < 3; ++i) resolver.Resolve(Request("x"), {}, [&](FakeResolver::Answer) { ++answered; });
  EXPECT_EQ(answered, 0);
  EXPECT_TRUE(resolver.AnswerNext());
  EXPECT_EQ(answered, 1);
  EXPECT_EQ(resolver.waiting_count(), 2u);
  resolver.AnswerAll();
  EXPECT_EQ(answered, 3);
  EXPECT_FALSE(resolver.AnswerNext());
}

}  // namespace
}  // namespace transportd
