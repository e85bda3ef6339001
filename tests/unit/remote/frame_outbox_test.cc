// One frame at a time, as large as need be, no larger than allowed.
#include "clients/cpp/frame_outbox.h"

#include "tests/unit/remote/scripted_service.h"

namespace transportd {
namespace {

using testing::SizeIs;

// Through the loop: the outbox has no other user. Threading: the test's.
using FrameOutboxTest = ScriptedService;

TEST_F(FrameOutboxTest, GrowsWhileAFrameIsOnItsWay) {
  auto protocol = Connect(1);
  auto_sent = false;
  const size_t before = channel->frames.size();
  ASSERT_TRUE(protocol->transport->Write("a").ok());
  Turn();
  ASSERT_TRUE(protocol->transport->Write("b").ok());
  Turn();
  ASSERT_TRUE(protocol->transport->Write("c").ok());
  Turn();
  ASSERT_THAT(channel->frames, SizeIs(before + 1));
  EXPECT_EQ(channel->frames.back().commands_size(), 1);
  AnswerSent();
  Turn();
  ASSERT_THAT(channel->frames, SizeIs(before + 2));
  EXPECT_EQ(channel->frames.back().commands_size(), 2);
}

TEST_F(FrameOutboxTest, FramesAreNumberedAndAcknowledgeWhatArrived) {
  auto protocol = Connect(1);  // The service has sent 2 frames.
  ASSERT_TRUE(protocol->transport->Write("a").ok());
  Turn();
  EXPECT_EQ(channel->frames.back().acknowledged_sequence(), 2u);
  Send({Data(1, "x")});
  ASSERT_TRUE(protocol->transport->Write("a").ok());
  Turn();
  EXPECT_EQ(channel->frames.back().acknowledged_sequence(), 3u);
  EXPECT_EQ(channel->frames.back().sequence(), channel->frames.size());
}

TEST_F(FrameOutboxTest, ManyCommandsFillSeveralFrames) {
  MakeLoop();
  SendOpened(/*max_client_frame_bytes=*/1024);
  auto_sent = false;
  for (int i = 0; i < 100; ++i) loop->CreateConnection([] { return nullptr; }, {}, [](const auto&) {});
  size_t commands = 0;
  for (int i = 0; i < 50; ++i) {
    AnswerSent();
    Turn();
  }
  for (const v1::SessionRequest& frame : channel->frames) commands += static_cast<size_t>(frame.commands_size());
  EXPECT_EQ(commands, 100u);
  for (const size_t size_bytes : channel->frame_sizes_bytes) EXPECT_LE(size_bytes, 1024u);
}

TEST_F(FrameOutboxTest, AnIdleSessionSendsNothing) {
  Connect(1);
  const size_t before = channel->frames.size();
  Send({Data(1, "x")});
  Turn(10);
  EXPECT_THAT(channel->frames, SizeIs(before));
}

}  // namespace
}  // namespace transportd
