#include "transports/reactor/task_queue.h"

#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

bool Readable(int fd) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST(TaskQueue, PostToATakerThatIsAwakeSignalsNobody) {
  auto queue = TaskQueue::Create().value();
  queue->Post([] {});
  EXPECT_FALSE(Readable(queue->wake_fd()));
  EXPECT_FALSE(queue->PrepareToSleep());
  EXPECT_EQ(queue->size(), 1u);
}

TEST(TaskQueue, PostToASleeperSignalsOnceForTheBatch) {
  auto queue = TaskQueue::Create().value();
  ASSERT_TRUE(queue->PrepareToSleep());
  for (int i = 0; i < 3; ++i) queue->Post([] {});
  uint64_t signals = 0;
  ASSERT_EQ(::read(queue->wake_fd(), &signals, sizeof(signals)), 8);
  EXPECT_EQ(signals, 1u);
  std::vector<TaskQueue::Task> tasks;
  queue->TakeInto(tasks);
  EXPECT_EQ(tasks.size(), 3u);
}

TEST(TaskQueue, WakeSignalsASleeperOnly) {
  auto queue = TaskQueue::Create().value();
  queue->Wake();
  EXPECT_FALSE(Readable(queue->wake_fd()));
  ASSERT_TRUE(queue->PrepareToSleep());
  queue->Wake();
  EXPECT_TRUE(Readable(queue->wake_fd()));
}

TEST(TaskQueue, TakeIntoAppendsInOrder) {
  auto queue = TaskQueue::Create().value();
  std::string order;
  std::vector<TaskQueue::Task> tasks;
  tasks.push_back([&] { order += "a"; });
  queue->Post([&] { order += "b"; });
  queue->Post([&] { order += "c"; });
  queue->TakeInto(tasks);
  for (auto& task : tasks) task();
  EXPECT_EQ(order, "abc");
}

TEST(TaskQueue, CloseDestroysWhatIsQueuedAndWhatComesLater) {
  auto queue = TaskQueue::Create().value();
  auto owned = std::make_shared<int>(0);
  queue->Post([owned] { FAIL(); });
  queue->Close();
  EXPECT_EQ(owned.use_count(), 1);
  queue->Post([owned] { FAIL(); });
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(queue->size(), 0u);
}

TEST(TaskQueue, TaskWhoseDestructionPostsDoesNotDeadlockClose) {
  struct PostsWhenDestroyed {
    std::shared_ptr<TaskQueue> queue;
    ~PostsWhenDestroyed() {
      queue->Post([] {});
    }
  };
  auto queue = TaskQueue::Create().value();
  queue->Post([object = std::make_unique<PostsWhenDestroyed>(PostsWhenDestroyed{queue})] {});
  queue->Close();
  EXPECT_EQ(queue->size(), 0u);
}

}  // namespace
}  // namespace transportd
