#include "proto/frame/frame_buffer.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace transportd {

namespace {

TEST(FrameBuffer, IsEmptyAtFirst) {
  FrameBuffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.view(), "");
  EXPECT_EQ(buffer.Release(), nullptr);
}

TEST(FrameBuffer, AppendsInOrder) {
  FrameBuffer buffer("one ");
  buffer.Append("");
  buffer.Append("two");
  EXPECT_EQ(buffer.view(), "one two");
}

TEST(FrameBuffer, KeepsItsBytesWhenItGrows) {
  FrameBuffer buffer;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    const std::string piece = std::to_string(i);
    buffer.Append(piece);
    expected += piece;
  }
  EXPECT_EQ(buffer.view(), expected);
  EXPECT_GE(buffer.capacity(), buffer.size());
}

TEST(FrameBuffer, GrowsByDoubling) {
  FrameBuffer buffer;
  int growths = 0;
  for (size_t i = 0, capacity = 0; i < 1'000'000; ++i) {
    buffer.Append("x");
    if (buffer.capacity() != capacity) ++growths;
    capacity = buffer.capacity();
  }
  EXPECT_LE(growths, 12);
}

TEST(FrameBuffer, ReservesAtLeastWhatIsAskedFor) {
  FrameBuffer buffer("x");
  for (const size_t count : {size_t{0}, size_t{1}, size_t{1023}, size_t{1024}, size_t{1'000'000}}) {
    EXPECT_GE(buffer.Reserve(count).size(), count);
    EXPECT_EQ(buffer.view(), "x");
  }
}

TEST(FrameBuffer, HoldsOnlyWhatWasCommitted) {
  FrameBuffer buffer("<");
  std::memcpy(buffer.Reserve(100).data(), "abcdef", 6);
  buffer.Commit(3);
  buffer.Append(">");
  EXPECT_EQ(buffer.view(), "<abc>");
}

TEST(FrameBuffer, KeepsItsBlockWhenCleared) {
  FrameBuffer buffer(std::string(5000, 'x'));
  const size_t capacity = buffer.capacity();
  buffer.Clear();
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), capacity);
  buffer.Append("new");
  EXPECT_EQ(buffer.view(), "new");
}

TEST(FrameBuffer, IsEmptyAfterRelease) {
  FrameBuffer buffer("given away");
  char* bytes = buffer.Release();
  EXPECT_EQ(std::string(bytes, 10), "given away");
  std::free(bytes);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.Append("again");
  EXPECT_EQ(buffer.view(), "again");
}

TEST(FrameBuffer, IsEmptyAfterAMove) {
  FrameBuffer from("moved");
  FrameBuffer to(std::move(from));
  EXPECT_EQ(to.view(), "moved");
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): what it promises.
  from.Append("new");
  to = std::move(from);
  EXPECT_EQ(to.view(), "new");
  EXPECT_EQ(from.capacity(), 0u);  // NOLINT(bugprone-use-after-move): what it promises.
}

}  // namespace

}  // namespace transportd
