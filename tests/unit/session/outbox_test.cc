#include "server/session/outbox.h"

#include "gtest/gtest.h"
#include "proto/frame/frame_reader.h"

namespace transportd {
namespace {

TEST(Outbox, NoFrameHasMoreEntriesThanItMay) {
  Outbox outbox(/*max_frame_bytes=*/64 * 1024 * 1024, /*keep_shares=*/false);
  constexpr size_t kCount = 2 * kMaxFrameEntryCount + 1;
  for (size_t i = 0; i < kCount; ++i) {
    if (i % 2 == 0) {
      outbox.AppendWriteProgress(1, i);
    } else {
      ASSERT_TRUE(outbox.AppendDatagramReceived(1, "", std::nullopt));
    }
  }
  size_t read_count = 0;
  int frame_count = 0;
  FrameView view;
  while (!outbox.empty()) {
    const FrameBuffer frame = outbox.TakeFrame(0, false);
    ASSERT_TRUE(ReadFrame(frame.view(), view));
    read_count += view.entries.size();
    ++frame_count;
    outbox.FrameSent();
  }
  EXPECT_EQ(read_count, kCount);
  EXPECT_EQ(frame_count, 3);
  EXPECT_EQ(outbox.size_bytes(), 0u);
}

}  // namespace
}  // namespace transportd
