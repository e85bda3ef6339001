#include "transports/reactor/loop_executor.h"

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/held_executor.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

class LoopExecutorTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    loop_executor_ = std::make_unique<LoopExecutor>(reactor(), executor_);
  }
  void TearDown() override {
    loop_executor_.reset();
    LoopFixture::TearDown();
  }
  LoopExecutor::WorkId Run() {
    return loop_executor_->Run<absl::StatusOr<std::string>>(
        [this]() -> absl::StatusOr<std::string> {
          work_thread_ = std::this_thread::get_id();
          return "result";
        },
        [this](absl::StatusOr<std::string> result) {
          done_thread_ = std::this_thread::get_id();
          result_ = std::move(result);
        });
  }

  HeldExecutor executor_;
  std::unique_ptr<LoopExecutor> loop_executor_;
  std::thread::id work_thread_;
  std::thread::id done_thread_;
  absl::StatusOr<std::string> result_ = absl::UnknownError("not done");
};

TEST_F(LoopExecutorTest, WorksElsewhereAndAnswersOnTheLoop) {
  Run();
  Turn(3);
  EXPECT_FALSE(result_.ok());
  executor_.RunAll();
  EXPECT_FALSE(result_.ok()) << "only in a turn of the loop";
  ASSERT_TRUE(RunUntil([this] { return result_.ok(); }));
  EXPECT_EQ(*result_, "result");
  EXPECT_NE(work_thread_, std::this_thread::get_id());
  EXPECT_EQ(done_thread_, std::this_thread::get_id());
  EXPECT_EQ(loop_executor_->waiting_count(), 0u);
}

TEST_F(LoopExecutorTest, RefusalIsTheResult) {
  Run();
  executor_.RunAll(MakeError(absl::StatusCode::kResourceExhausted, "EXECUTOR_BUSY", "busy"));
  ASSERT_TRUE(RunUntil([this] { return loop_executor_->waiting_count() == 0; }));
  EXPECT_THAT(result_, HasReason("EXECUTOR_BUSY"));
  EXPECT_EQ(work_thread_, std::thread::id());
}

TEST_F(LoopExecutorTest, CancelledWorkRunsAndIsNotAnswered) {
  const auto before = Run();
  loop_executor_->Cancel(before);
  executor_.RunAll();
  const auto after = Run();
  executor_.RunAll();
  loop_executor_->Cancel(after);
  Turn(3);
  EXPECT_NE(work_thread_, std::thread::id());
  EXPECT_EQ(done_thread_, std::thread::id());
}

TEST_F(LoopExecutorTest, ResultAfterItsEndGoesNowhere) {
  Run();
  loop_executor_.reset();
  executor_.RunAll();
  Turn(3);
  EXPECT_EQ(done_thread_, std::thread::id());
}

}  // namespace
}  // namespace transportd
