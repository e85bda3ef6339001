#include "transports/resolver/loop_resolver.h"

#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

class LoopResolverTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    fake_.SetHosts("host", {"127.0.0.1"});
    resolver_ = std::make_unique<LoopResolver>(reactor(), fake_);
  }
  void TearDown() override {
    resolver_.reset();
    LoopFixture::TearDown();
  }
  LoopResolver::RequestId Resolve(const std::string& host) {
    return resolver_->Resolve({.address = {.host = host, .port = 80}}, "asker",
                              [this](absl::StatusOr<std::vector<SocketAddress>> addresses) {
                                ++answer_count_;
                                addresses_ = std::move(addresses);
                              });
  }

  FakeResolver fake_;
  std::unique_ptr<LoopResolver> resolver_;
  int answer_count_ = 0;
  absl::StatusOr<std::vector<SocketAddress>> addresses_;
};

TEST_F(LoopResolverTest, AnswersInALaterTurn) {
  Resolve("host");
  EXPECT_EQ(answer_count_, 0);
  ASSERT_TRUE(RunUntil([this] { return answer_count_ > 0; }));
  ASSERT_THAT(addresses_, IsOk());
  EXPECT_EQ(addresses_->front().port, 80);
  EXPECT_EQ(resolver_->waiting_count(), 0u);
}

TEST_F(LoopResolverTest, AnswersFromAnotherThread) {
  fake_.Hold();
  Resolve("nobody");
  std::thread thread([this] { fake_.AnswerAll(); });
  EXPECT_TRUE(RunUntil([this] { return answer_count_ > 0; }));
  thread.join();
  EXPECT_THAT(addresses_, HasReason("EAI_NONAME"));
}

TEST_F(LoopResolverTest, CancelledRequestIsNotAnswered) {
  fake_.Hold();
  const auto id = Resolve("host");
  ASSERT_EQ(fake_.askers().size(), 1u);
  EXPECT_EQ(fake_.askers()[0].name, "asker");
  EXPECT_FALSE(fake_.askers()[0].called_off.stop_requested());
  resolver_->Cancel(id);
  EXPECT_TRUE(fake_.askers()[0].called_off.stop_requested()) << "it gives its place up";
  resolver_->Cancel(id);
  resolver_->Cancel(0);
  fake_.AnswerAll();
  Turn(3);
  EXPECT_EQ(answer_count_, 0);
}

TEST_F(LoopResolverTest, AnswerOnItsWayIsDroppedByCancel) {
  const auto id = Resolve("host");
  resolver_->Cancel(id);
  Turn(3);
  EXPECT_EQ(answer_count_, 0);
}

TEST_F(LoopResolverTest, AnswerAfterItsEndGoesNowhere) {
  fake_.Hold();
  Resolve("host");
  resolver_.reset();
  EXPECT_TRUE(fake_.askers()[0].called_off.stop_requested());
  fake_.AnswerAll();
  Turn(3);
  EXPECT_EQ(answer_count_, 0);
}

}  // namespace
}  // namespace transportd
