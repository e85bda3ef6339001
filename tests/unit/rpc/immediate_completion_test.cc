// Completions that are taken where the operation began, and those that are handed to their queue's thread.
#include "proto/grpc/immediate_completion.h"

#include <grpcpp/alarm.h>

#include <memory>
#include <optional>
#include <thread>

#include "gtest/gtest.h"
#include "server/rpc/complete_on_queue.h"
#include "server/rpc/tag.h"

namespace transportd {
namespace {

class ImmediateCompletionTest : public testing::Test {
 protected:
  ~ImmediateCompletionTest() override {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) ADD_FAILURE() << "something is left in the queue";
  }

  // An operation that is over at once.
  void Begin(grpc::Alarm& alarm, Tag& tag) { alarm.Set(&queue_, gpr_inf_past(GPR_CLOCK_MONOTONIC), &tag); }
  void* Next() {
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue_.Next(&tag, &ok));
    return tag;
  }

  grpc::CompletionQueue queue_;
};

TEST_F(ImmediateCompletionTest, WhatIsOverAtOnceIsReturnedAndNotQueued) {
  grpc::Alarm alarm;
  Tag tag;
  const std::optional<GrpcCompletion> completion = BeginAndTakeCompletion(queue_, [&] { Begin(alarm, tag); });
  ASSERT_TRUE(completion.has_value());
  EXPECT_EQ(completion->tag, &tag);
  EXPECT_TRUE(completion->ok);
}

TEST_F(ImmediateCompletionTest, WhatIsOverLaterComesThroughTheQueue) {
  grpc::Alarm alarm;
  Tag tag;
  const std::optional<GrpcCompletion> completion = BeginAndTakeCompletion(
      queue_, [&] { alarm.Set(&queue_, gpr_inf_future(GPR_CLOCK_MONOTONIC), static_cast<void*>(&tag)); });
  EXPECT_FALSE(completion.has_value());
  alarm.Cancel();
  EXPECT_EQ(Next(), &tag);
}

TEST_F(ImmediateCompletionTest, SecondOneComesThroughTheQueue) {
  grpc::Alarm first_alarm, second_alarm;
  Tag first, second;
  const std::optional<GrpcCompletion> completion = BeginAndTakeCompletion(queue_, [&] {
    Begin(first_alarm, first);
    Begin(second_alarm, second);
  });
  ASSERT_TRUE(completion.has_value());
  EXPECT_EQ(completion->tag, &first);
  EXPECT_EQ(Next(), &second);
}

TEST_F(ImmediateCompletionTest, NothingIsKeptForTheNextTime) {
  grpc::Alarm alarm;
  Tag tag;
  EXPECT_FALSE(BeginAndTakeCompletion(queue_, [] {}).has_value());
  Begin(alarm, tag);
  EXPECT_EQ(Next(), &tag);
}

TEST_F(ImmediateCompletionTest, AnothersCompletionIsCarriedOutByTheQueuesThread) {
  Tag tag;
  const auto owner = std::make_shared<int>(0);
  std::optional<bool> told;
  std::thread::id teller;
  tag.Arm(owner, [&](bool ok) {
    told = ok;
    teller = std::this_thread::get_id();
  });
  CompleteOnQueue(queue_, {.tag = &tag, .ok = true});
  EXPECT_FALSE(told.has_value());
  std::thread thread([this] { static_cast<Tag*>(Next())->Complete(true); });
  const std::thread::id thread_id = thread.get_id();
  thread.join();
  EXPECT_EQ(told, true);
  EXPECT_EQ(teller, thread_id);
  EXPECT_EQ(owner.use_count(), 1);
}

}  // namespace
}  // namespace transportd
