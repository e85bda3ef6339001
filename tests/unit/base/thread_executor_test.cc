#include "transports/base/thread_executor.h"

#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

// Keeps work waiting until it is opened, and records what came of each piece. Threading: any thread.
class Log {
 public:
  Executor::Work Next() {
    return [this](absl::Status status) {
      MutexLock lock(mutex_);
      if (status.ok()) {
        ++entered_;
        changed_.SignalAll();
        while (!open_) changed_.Wait(mutex_);
        threads_.insert(std::this_thread::get_id());
      }
      results_.push_back(std::move(status));
      changed_.SignalAll();
    };
  }
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.SignalAll();
  }
  void WaitForEntered(int count) {
    MutexLock lock(mutex_);
    while (entered_ < count) changed_.Wait(mutex_);
  }
  std::vector<absl::Status> Wait(size_t count) {
    MutexLock lock(mutex_);
    while (results_.size() < count) changed_.Wait(mutex_);
    return results_;
  }
  std::set<std::thread::id> threads() {
    MutexLock lock(mutex_);
    return threads_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  int entered_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<absl::Status> results_ ABSL_GUARDED_BY(mutex_);
  std::set<std::thread::id> threads_ ABSL_GUARDED_BY(mutex_);
};

TEST(ThreadExecutor, RunsOnAnotherThread) {
  Log log;
  log.Open();
  ThreadExecutor executor(1, 0);
  executor.Submit(log.Next());
  EXPECT_THAT(log.Wait(1)[0], IsOk());
  EXPECT_FALSE(log.threads().contains(std::this_thread::get_id()));
}

TEST(ThreadExecutor, AsMuchAtOnceAsThreadsThenItWaitsThenBusy) {
  Log log;
  ThreadExecutor executor(2, 1);
  for (int i = 0; i < 3; ++i) executor.Submit(log.Next());
  log.WaitForEntered(2);
  executor.Submit(log.Next());
  EXPECT_THAT(log.Wait(1)[0],
              testing::AllOf(StatusIs(absl::StatusCode::kResourceExhausted), HasReason("EXECUTOR_BUSY")));
  log.Open();
  EXPECT_THAT(log.Wait(4), testing::Contains(IsOk()).Times(3));
}

TEST(ThreadExecutor, OneAskerHasHalfOfTheThreadsAndAQueueOfItsOwn) {
  Log slow;
  Log other;
  other.Open();
  ThreadExecutor executor(4, 1);
  for (int i = 0; i < 3; ++i) executor.SubmitFor({.name = "a"}, slow.Next());
  slow.WaitForEntered(2);
  executor.SubmitFor({.name = "a"}, slow.Next());
  EXPECT_THAT(slow.Wait(1)[0], HasReason("EXECUTOR_BUSY"));
  executor.SubmitFor({.name = "b"}, other.Next());
  EXPECT_THAT(other.Wait(1), testing::Each(IsOk()));
  slow.Open();
  EXPECT_THAT(slow.Wait(4), testing::Contains(IsOk()).Times(3));
  executor.SubmitFor({.name = "a"}, other.Next());
  EXPECT_THAT(other.Wait(2), testing::Each(IsOk())) << "its turns have come back";
}

TEST(ThreadExecutor, AskersTakeTurns) {
  Log first;
  ThreadExecutor executor(1, 100);
  executor.SubmitFor({.name = "a"}, first.Next());
  first.WaitForEntered(1);
  Mutex mutex;
  std::string order;  // Guarded by the mutex; and one thread writes it.
  Log done;
  done.Open();
  const auto submit = [&](const std::string& name) {
    executor.SubmitFor({.name = name}, [&, name, next = done.Next()](absl::Status status) mutable {
      {
        MutexLock lock(mutex);
        order += name;
      }
      next(std::move(status));
    });
  };
  for (int i = 0; i < 4; ++i) submit("a");
  for (int i = 0; i < 2; ++i) submit("b");
  submit("c");
  first.Open();
  done.Wait(7);
  MutexLock lock(mutex);
  EXPECT_EQ(order, "bcabaaa");
}

TEST(ThreadExecutor, WhatIsCalledOffLeavesAFullQueue) {
  Log log;
  Log called_off;
  ThreadExecutor executor(1, 2);
  executor.SubmitFor({.name = "a"}, log.Next());
  log.WaitForEntered(1);
  std::stop_source source;
  for (int i = 0; i < 2; ++i) {
    executor.SubmitFor({.name = "a", .called_off = source.get_token()}, called_off.Next());
  }
  source.request_stop();
  for (int i = 0; i < 2; ++i) executor.SubmitFor({.name = "a"}, log.Next());
  EXPECT_THAT(called_off.Wait(2), testing::Each(HasReason("CANCELLED")));
  log.Open();
  EXPECT_THAT(log.Wait(3), testing::Each(IsOk()));
}

TEST(ThreadExecutor, DestructorFinishesWhatIsUnderWayAndCancelsTheRest) {
  Log log;
  auto executor = std::make_unique<ThreadExecutor>(1, 10);
  for (int i = 0; i < 3; ++i) executor->Submit(log.Next());
  log.WaitForEntered(1);
  std::thread opener([&log] {
    log.Wait(2);  // The two that waited; the destructor now waits for the first.
    log.Open();
  });
  executor.reset();
  opener.join();
  const std::vector<absl::Status> results = log.Wait(3);
  EXPECT_THAT(results[0], HasReason("CANCELLED"));
  EXPECT_THAT(results[1], HasReason("CANCELLED"));
  EXPECT_THAT(results[2], IsOk());
}

TEST(ThreadExecutor, DestructorCancelsEveryQueue) {
  Log log;
  auto executor = std::make_unique<ThreadExecutor>(2, 10);
  for (const char* name : {"a", "a", "b", "b", "c", ""}) executor->SubmitFor({.name = name}, log.Next());
  log.WaitForEntered(2);
  std::thread opener([&log] {
    log.Wait(4);
    log.Open();
  });
  executor.reset();
  opener.join();
  EXPECT_THAT(log.Wait(6), testing::Contains(HasReason("CANCELLED")).Times(4));
}

TEST(ThreadExecutor, WhatWorkOwnsDiesWithIt) {
  ThreadExecutor executor(1, 10);
  auto owned = std::make_shared<int>(0);
  const std::weak_ptr<int> weak = owned;
  Log log;
  log.Open();
  executor.Submit([owned = std::move(owned)](const absl::Status&) {});
  executor.Submit(log.Next());
  log.Wait(1);
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace transportd
