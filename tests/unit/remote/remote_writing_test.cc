// What a remote transport sends, and when: windows, watermarks, write_eof, close, abort.
#include <numeric>

#include "clients/cpp/remote_transport.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/remote/scripted_service.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using RemoteWritingTest = ScriptedService;

std::string Joined(const std::vector<v1::Command>& commands) {
  std::string all;
  for (const v1::Command& command : commands) all += command.write();
  return all;
}

TEST_F(RemoteWritingTest, WritesOfOneTurnShareAFrame) {
  auto protocol = Connect(1);
  const size_t frames_before = channel->frames.size();
  ASSERT_TRUE(protocol->transport->Write("a").ok());
  const std::string_view lines[] = {"b", "", "c"};
  ASSERT_TRUE(protocol->transport->Writelines(lines).ok());
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 3u);
  Turn();
  EXPECT_EQ(channel->frames.size(), frames_before + 1);
  EXPECT_EQ(Joined(TakeCommands()), "abc");
  Send({Progress(1, 3)});
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 0u);
  EXPECT_EQ(protocol->transport->SentBytes(), 3u);
}

TEST_F(RemoteWritingTest, NoMoreThanTheSendWindowIsUnderWay) {
  auto protocol = Connect(1);
  std::string data(2500, '\0');
  std::iota(data.begin(), data.end(), '\0');
  ASSERT_TRUE(protocol->transport->Write(data).ok());
  Turn();
  std::string sent = Joined(TakeCommands());
  EXPECT_EQ(sent.size(), kSendWindow);
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 2500u);
  Send({Progress(1, 300)});
  sent += Joined(TakeCommands());
  EXPECT_EQ(sent.size(), kSendWindow + 300);
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 2200u);
  Send({Progress(1, 1300)});
  Send({Progress(1, 2300)});
  sent += Joined(TakeCommands());
  EXPECT_TRUE(sent == data);
  Send({Progress(1, 2500)});
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 0u);
}

TEST_F(RemoteWritingTest, SessionWindowIsSharedAndServedInTurn) {
  MakeLoop();
  SendOpened(100'000, /*session_send_window_bytes=*/1500);
  auto first = Connect(1);
  auto second = Connect(2);
  auto third = Connect(3);
  for (const auto& protocol : {first, second, third}) {
    ASSERT_TRUE(protocol->transport->Write(std::string(1000, 'x')).ok());
  }
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 1 1000", "write 2 500"));
  Send({Progress(1, 600)});
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 2 500", "write 3 100"));
  // What a lost transport had under way is free again.
  Send({Lost(2, v1::END_CAUSE_RESET)});
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 3 900"));
}

TEST_F(RemoteWritingTest, WritesAreSplitToFitIntoFrames) {
  MakeLoop();
  SendOpened(/*max_client_frame_bytes=*/1024);
  auto protocol = Connect(1);
  std::string data(5000, 'x');
  ASSERT_TRUE(protocol->transport->Write(data).ok());
  for (uint64_t sent = 1000; sent <= 5000; sent += 1000) {
    Turn(5);
    Send({Progress(1, sent)});
  }
  EXPECT_TRUE(Joined(TakeCommands()) == data);
  for (const size_t size_bytes : channel->frame_sizes_bytes) EXPECT_LE(size_bytes, 1024u);
}

TEST_F(RemoteWritingTest, PauseWritingComesFromInsideWriteStrictlyOverTheMark) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->SetWriteBufferLimits({.high_bytes = 10, .low_bytes = 4}).ok());
  ASSERT_TRUE(protocol->transport->Write("0123456789").ok());
  EXPECT_THAT(events, IsEmpty());
  ASSERT_TRUE(protocol->transport->Write("x").ok());
  EXPECT_THAT(events, ElementsAre("pause"));
  ASSERT_TRUE(protocol->transport->Write("yz").ok());
  Send({Progress(1, 8)});
  EXPECT_THAT(events, ElementsAre("pause"));
  Send({Progress(1, 9)});
  EXPECT_THAT(events, ElementsAre("pause", "resume"));
  Send({Progress(1, 13)});
  EXPECT_THAT(events, ElementsAre("pause", "resume"));
}

TEST_F(RemoteWritingTest, ProtocolThatMayNotWriteAsksForPromptProgress) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->SetWriteBufferLimits({.high_bytes = 10, .low_bytes = 4}).ok());
  ASSERT_TRUE(protocol->transport->Write("0123456789").ok());
  Turn();
  EXPECT_FALSE(channel->frames.back().prompt_write_progress());
  ASSERT_TRUE(protocol->transport->Write("x").ok());
  Turn();
  EXPECT_TRUE(channel->frames.back().prompt_write_progress());
  Send({Progress(1, 11)});
  ASSERT_TRUE(protocol->transport->Write("y").ok());
  Turn();
  EXPECT_FALSE(channel->frames.back().prompt_write_progress());
}

TEST_F(RemoteWritingTest, TransportThatIsLostWaitsForNoProgress) {
  auto waiting = Connect(1);
  auto other = Connect(2);
  ASSERT_TRUE(waiting->transport->SetWriteBufferLimits({.high_bytes = 0, .low_bytes = 0}).ok());
  ASSERT_TRUE(waiting->transport->Write("x").ok());
  Turn();
  EXPECT_TRUE(channel->frames.back().prompt_write_progress());
  Send({Lost(1, v1::END_CAUSE_RESET)});
  ASSERT_TRUE(other->transport->Write("y").ok());
  Turn();
  EXPECT_FALSE(channel->frames.back().prompt_write_progress());
}

TEST_F(RemoteWritingTest, NewMarksMayPauseAndNeverResume) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write("0123456789").ok());
  ASSERT_TRUE(protocol->transport->SetWriteBufferLimits({.high_bytes = 5, .low_bytes = {}}).ok());
  EXPECT_THAT(events, ElementsAre("pause"));
  ASSERT_TRUE(protocol->transport->SetWriteBufferLimits({.high_bytes = 100, .low_bytes = 50}).ok());
  EXPECT_THAT(events, ElementsAre("pause"));
  EXPECT_THAT(protocol->transport->SetWriteBufferLimits({.high_bytes = 1, .low_bytes = 2}),
              HasReason("INVALID_LIMITS"));
  Send({Progress(1, 1)});
  EXPECT_THAT(events, ElementsAre("pause", "resume"));
}

TEST_F(RemoteWritingTest, ServiceIsKeptQuietAboutItsOwnMarks) {
  AskForConnection(std::make_shared<Recorder>(events));
  for (const v1::SessionRequest& frame : channel->frames) {
    for (const v1::Command& command : frame.commands()) {
      EXPECT_EQ(command.create_connection().write_buffer_limits().high_bytes(), uint64_t{1} << 30);
    }
  }
}

TEST_F(RemoteWritingTest, CloseFlushesFirstAndTakesMoreUntilThen) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write(std::string(1500, 'x')).ok());
  protocol->transport->Close();
  EXPECT_TRUE(protocol->transport->IsClosing());
  ASSERT_TRUE(protocol->transport->Write("tail").ok());
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 1 1000"));
  ASSERT_TRUE(protocol->transport->Write("end").ok());
  Send({Progress(1, 1000)});
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 1 507", "close 1"));
  Send({Progress(1, 1507), Lost(1, v1::END_CAUSE_LOCAL_CLOSE, 1507)});
  EXPECT_THAT(events, ElementsAre("lost LOCAL_CLOSE"));
  EXPECT_EQ(protocol->end.dropped_bytes, 0u);
  EXPECT_EQ(protocol->end.sent_bytes, 1507u);
}

TEST_F(RemoteWritingTest, WriteInTheSameTurnAsCloseGoesBeforeIt) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write("head").ok());
  protocol->transport->Close();
  ASSERT_TRUE(protocol->transport->Write("tail").ok());
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 1 4", "write 1 4", "close 1"));
}

TEST_F(RemoteWritingTest, WriteAfterCloseWithAnEmptyBufferIsDroppedAndCounted) {
  auto protocol = Connect(1);
  protocol->transport->Close();
  protocol->transport->Close();
  ASSERT_TRUE(protocol->transport->Write("dropped").ok());
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 0u);
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("close 1"));
  Send({Lost(1, v1::END_CAUSE_LOCAL_CLOSE)});
  EXPECT_EQ(protocol->end.dropped_bytes, 7u);
}

TEST_F(RemoteWritingTest, ErrorDuringTheFlushIsToldAsSuch) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write(std::string(1500, 'x')).ok());
  protocol->transport->Close();
  Turn();
  v1::Callback lost = Lost(1, v1::END_CAUSE_BROKEN_PIPE, 200);
  lost.mutable_connection_lost()->mutable_error()->set_code(14);
  lost.mutable_connection_lost()->mutable_error()->set_reason("EPIPE");
  lost.mutable_connection_lost()->set_dropped_bytes(800);
  Send({lost});
  EXPECT_THAT(events, ElementsAre("lost BROKEN_PIPE"));
  EXPECT_THAT(protocol->end.status, HasReason("EPIPE"));
  // The service dropped 800; 500 never left the client.
  EXPECT_EQ(protocol->end.dropped_bytes, 1300u);
}

TEST_F(RemoteWritingTest, ResumeWritingStillComesWhileClosing) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->SetWriteBufferLimits({.high_bytes = 10, .low_bytes = 5}).ok());
  ASSERT_TRUE(protocol->transport->Write(std::string(20, 'x')).ok());
  protocol->transport->Close();
  Send({Progress(1, 20)});
  EXPECT_THAT(events, ElementsAre("pause", "resume"));
}

TEST_F(RemoteWritingTest, LossThatTellsOfTheLastBytesResumesFirst) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->SetWriteBufferLimits({.high_bytes = 10, .low_bytes = 5}).ok());
  ASSERT_TRUE(protocol->transport->Write(std::string(20, 'x')).ok());
  protocol->transport->Close();
  Turn();
  Send({Lost(1, v1::END_CAUSE_LOCAL_CLOSE, 20)});
  EXPECT_THAT(events, ElementsAre("pause", "resume", "lost LOCAL_CLOSE"));
}

TEST_F(RemoteWritingTest, AbortOvertakesWhatIsBuffered) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write(std::string(1500, 'x')).ok());
  Turn();
  TakeCommands();
  protocol->transport->Close();
  protocol->transport->Abort();
  protocol->transport->Abort();
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 0u);
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("abort 1"));
  Send({Progress(1, 1000), Data(1, "late"), Lost(1, v1::END_CAUSE_LOCAL_ABORT, 1000)});
  EXPECT_THAT(events, ElementsAre("lost LOCAL_ABORT"));
  EXPECT_EQ(protocol->end.dropped_bytes, 500u);
}

TEST_F(RemoteWritingTest, AbortWithResetSaysSo) {
  auto protocol = Connect(1);
  protocol->transport->Abort(/*reset=*/true);
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("abort 1 reset"));
}

TEST_F(RemoteWritingTest, WriteEofFollowsTheBufferedBytes) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write(std::string(1500, 'x')).ok());
  protocol->transport->WriteEof();
  protocol->transport->WriteEof();
  EXPECT_THAT(protocol->transport->Write(""), HasReason("WRITE_AFTER_EOF"));
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 1 1000"));
  protocol->transport->Close();
  Send({Progress(1, 1000)});
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 1 500", "write_eof 1", "close 1"));
}

TEST_F(RemoteWritingTest, WriteEofAfterCloseDoesNothing) {
  auto protocol = Connect(1);
  protocol->transport->Close();
  protocol->transport->WriteEof();
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("close 1"));
}

TEST_F(RemoteWritingTest, ProtocolMayAbortInsideEveryCallback) {
  class Aborter final : public Protocol {
   public:
    explicit Aborter(std::vector<std::string>& events) : events_(events) {}
    void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
    void BytesSent(uint64_t sent_bytes) override {
      events_.push_back("sent " + std::to_string(sent_bytes));
      transport_->Abort();
    }
    void ResumeWriting() override { events_.push_back("resume"); }
    void ConnectionLost(const ConnectionEnd&) override { events_.push_back("lost"); }
    std::shared_ptr<Transport> transport_;

   private:
    std::vector<std::string>& events_;
  };
  auto protocol = std::make_shared<Aborter>(events);
  const uint32_t request_id = AskForConnection(protocol);
  Send({Made(1, request_id), Connected(1, request_id)});
  ASSERT_TRUE(protocol->transport_->SetWriteBufferLimits({.high_bytes = 0, .low_bytes = 0}).ok());
  ASSERT_TRUE(protocol->transport_->Write("abc").ok());
  Send({Progress(1, 2), Progress(1, 3), Lost(1, v1::END_CAUSE_LOCAL_ABORT, 3)});
  EXPECT_THAT(events, ElementsAre("done", "sent 2", "lost"));
}

}  // namespace
}  // namespace transportd
