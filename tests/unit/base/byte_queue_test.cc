#include "transports/base/byte_queue.h"

#include <array>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace transportd {
namespace {

std::string Content(const ByteQueue& queue) {
  std::vector<iovec> pieces(1 << 14);
  std::string content;
  const size_t count = queue.Peek(pieces);
  for (size_t i = 0; i < count; ++i) content.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  return content;
}

TEST(ByteQueue, NewOneIsEmptyAndPeeksNothing) {
  ByteQueue queue;
  std::array<iovec, 4> pieces;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.Peek(pieces), 0u);
  queue.Append("");
  EXPECT_EQ(queue.Peek(pieces), 0u);
}

TEST(ByteQueue, SmallAppendsShareOnePiece) {
  ByteQueue queue;
  for (int i = 0; i < 100; ++i) queue.Append("0123456789");
  std::array<iovec, 4> pieces;
  EXPECT_EQ(queue.Peek(pieces), 1u);
  EXPECT_EQ(queue.size(), 1000u);
}

TEST(ByteQueue, PeekFillsNoMoreThanItWasGiven) {
  ByteQueue queue;
  queue.Append(std::string(1 << 20, 'x'));
  std::array<iovec, 3> pieces;
  EXPECT_EQ(queue.Peek(pieces), 3u);
  EXPECT_EQ(queue.Peek(std::span<iovec>()), 0u);
}

TEST(ByteQueue, ConsumeInsideAPieceKeepsTheRest) {
  ByteQueue queue;
  queue.Append("abcdef");
  queue.Consume(2);
  EXPECT_EQ(Content(queue), "cdef");
  queue.Append("gh");
  EXPECT_EQ(Content(queue), "cdefgh");
  queue.Consume(6);
  EXPECT_TRUE(queue.empty());
  queue.Append("again");
  EXPECT_EQ(Content(queue), "again");
}

TEST(ByteQueue, PeekedBytesStayWhereTheyAreWhileMoreIsAppended) {
  ByteQueue queue;
  queue.Append("first");
  std::array<iovec, 1> before;
  queue.Peek(before);
  queue.Append(std::string(1 << 20, 'x'));
  std::array<iovec, 1> after;
  queue.Peek(after);
  EXPECT_EQ(before[0].iov_base, after[0].iov_base);
  EXPECT_EQ(std::string(static_cast<char*>(before[0].iov_base), 5), "first");
}

TEST(ByteQueue, MovedFromIsEmptyAndUsable) {
  ByteQueue from;
  from.Append("abc");
  ByteQueue to(std::move(from));
  EXPECT_EQ(Content(to), "abc");
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): documented.
  from.Append("x");
  to = std::move(from);
  EXPECT_EQ(Content(to), "x");
}

TEST(ByteQueue, ClearDropsEverything) {
  ByteQueue queue;
  queue.Append(std::string(300000, 'x'));
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(Content(queue), "");
}

TEST(ByteQueue, RandomAppendsAndConsumesAgreeWithAString) {
  std::mt19937 random(1);
  ByteQueue queue;
  std::string model;
  for (int step = 0; step < 3000; ++step) {
    if (random() % 2 == 0) {
      std::string data(random() % (step % 10 == 0 ? 100000 : 300), '\0');
      for (char& c : data) c = static_cast<char>(random());
      queue.Append(data);
      model += data;
    } else if (!model.empty()) {
      const size_t size = random() % (std::min<size_t>(model.size(), 50000) + 1);
      queue.Consume(size);
      model.erase(0, size);
    }
    ASSERT_EQ(queue.size(), model.size());
    if (step % 50 == 0) {
      ASSERT_EQ(Content(queue), model);
    }
  }
  ASSERT_EQ(Content(queue), model);
}

TEST(ByteQueueDeathTest, ConsumingMoreThanThereIsAborts) {
  ByteQueue queue;
  queue.Append("abc");
  EXPECT_DEATH(queue.Consume(4), "CHECK failed");
}

}  // namespace
}  // namespace transportd
