// What a remote transport's protocol hears, and when: pausing, EOF, endings, acknowledgements, buffered protocols.
#include <algorithm>

#include "clients/cpp/remote_transport.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/remote/scripted_service.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using RemoteReadingTest = ScriptedService;

// A protocol that gives room for `room` bytes at a time. Threading: the test's.
class BufferedRecorder final : public BufferedProtocol {
 public:
  explicit BufferedRecorder(std::vector<std::string>& events) : events_(events) {}
  void ConnectionMade(std::shared_ptr<Transport> made) override { transport = std::move(made); }
  std::span<char> GetBuffer(size_t size_hint_bytes) override {
    hints.push_back(size_hint_bytes);
    return {buffer_, room};
  }
  void BufferUpdated(size_t size_bytes) override {
    events_.push_back("updated " + std::string(buffer_, size_bytes));
    if (on_data) on_data();
  }
  bool EofReceived() override {
    events_.push_back("eof");
    return true;
  }
  void ConnectionLost(const ConnectionEnd& lost) override {
    end = lost;
    events_.push_back("lost " + std::string(EndCauseName(lost.cause)));
  }

  std::shared_ptr<Transport> transport;
  ConnectionEnd end;
  size_t room = 4;
  std::vector<size_t> hints;
  std::function<void()> on_data;

 private:
  char buffer_[64];
  std::vector<std::string>& events_;
};

TEST_F(RemoteReadingTest, EofThatTheProtocolDoesNotKeepCloses) {
  auto protocol = Connect(1);
  Send({Data(1, "bye"), Eof(1)});
  EXPECT_THAT(events, ElementsAre("data bye", "eof"));
  EXPECT_TRUE(protocol->transport->IsClosing());
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("close 1"));
  Send({Lost(1, v1::END_CAUSE_EOF)});
  EXPECT_EQ(events.back(), "lost EOF");
  EXPECT_TRUE(protocol->end.status.ok());
  EXPECT_EQ(protocol->transport->GetProtocol(), nullptr);
}

TEST_F(RemoteReadingTest, EofThatTheProtocolKeepsLeavesItOpen) {
  auto protocol = Connect(1);
  protocol->keeps_open = true;
  Send({Eof(1)});
  EXPECT_FALSE(protocol->transport->IsClosing());
  EXPECT_TRUE(protocol->transport->IsReading());
  EXPECT_THAT(TakeCommands(), IsEmpty());
  ASSERT_TRUE(protocol->transport->Write("still").ok());
  protocol->transport->Close();
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("write 1 5", "close 1"));
  Send({Progress(1, 5), Lost(1, v1::END_CAUSE_EOF, 5)});
  EXPECT_EQ(events.back(), "lost EOF");
}

TEST_F(RemoteReadingTest, PausedTransportHoldsDataEofAndLossInOrder) {
  auto protocol = Connect(1);
  protocol->keeps_open = true;
  protocol->transport->PauseReading();
  EXPECT_FALSE(protocol->transport->IsReading());
  Send({Data(1, "a"), Data(1, "b")});
  Send({Eof(1), Lost(1, v1::END_CAUSE_RESET)});
  EXPECT_THAT(events, IsEmpty());
  EXPECT_EQ(loop->GetCounts().transports, 1u);

  protocol->transport->ResumeReading();
  EXPECT_THAT(events, IsEmpty()) << "not from inside ResumeReading";
  Turn();
  EXPECT_THAT(events, ElementsAre("data a", "data b", "eof", "lost RESET"));
  EXPECT_EQ(loop->GetCounts().transports, 0u);
}

TEST_F(RemoteReadingTest, PauseInsideDataReceivedHoldsTheRestOfTheFrame) {
  auto protocol = Connect(1);
  protocol->on_data = [&] { protocol->transport->PauseReading(); };
  Send({Data(1, "a"), Data(1, "b"), Data(1, "c")});
  EXPECT_THAT(events, ElementsAre("data a"));
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(events, ElementsAre("data a", "data b"));
  protocol->transport->ResumeReading();
  // What arrives meanwhile stays behind what is held.
  Send({Data(1, "d")});
  EXPECT_THAT(events, ElementsAre("data a", "data b", "data c"));
  protocol->on_data = nullptr;
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(events, ElementsAre("data a", "data b", "data c", "data d"));
}

TEST_F(RemoteReadingTest, PauseInsideConnectionMadeHolds) {
  auto protocol = std::make_shared<Recorder>(events);
  protocol->on_made = [&] { protocol->transport->PauseReading(); };
  const uint32_t request_id = AskForConnection(protocol);
  Send({Made(1, request_id), Connected(1, request_id), Data(1, "a")});
  EXPECT_THAT(events, ElementsAre("made", "done"));
}

TEST_F(RemoteReadingTest, CloseWhilePausedDropsWhatIsHeld) {
  auto protocol = Connect(1);
  protocol->transport->PauseReading();
  Send({Data(1, "a"), Eof(1)});
  protocol->transport->Close();
  Send({Lost(1, v1::END_CAUSE_EOF)});
  // It never heard of the EOF, so it was its own close that ended it.
  EXPECT_THAT(events, ElementsAre("lost LOCAL_CLOSE"));
}

TEST_F(RemoteReadingTest, CloseAndAbortEndATransportThatIsLostAlready) {
  for (const bool abort : {false, true}) {
    const uint32_t id = abort ? 2 : 1;
    auto protocol = Connect(id);
    protocol->transport->PauseReading();
    Send({Lost(id, v1::END_CAUSE_RESET)});
    EXPECT_THAT(events, IsEmpty());
    TakeCommands();
    abort ? protocol->transport->Abort() : protocol->transport->Close();
    EXPECT_THAT(events, IsEmpty());
    Turn();
    EXPECT_THAT(events, ElementsAre(abort ? "lost LOCAL_ABORT" : "lost LOCAL_CLOSE"));
    EXPECT_TRUE(protocol->end.status.ok());
    EXPECT_THAT(TakeCommands(), IsEmpty()) << "the id is the service's no more";
    events.clear();
  }
}

TEST_F(RemoteReadingTest, WriteErrorEndsAPausedTransport) {
  auto protocol = Connect(1);
  protocol->transport->PauseReading();
  ASSERT_TRUE(protocol->transport->Write("never arrives").ok());
  Send({Data(1, "held"), Lost(1, v1::END_CAUSE_RESET)});
  EXPECT_THAT(events, ElementsAre("lost RESET"));
  EXPECT_EQ(protocol->end.dropped_bytes, 13u);
}

TEST_F(RemoteReadingTest, WriteAfterAHeldLossIsTheErrorThatEndsIt) {
  auto protocol = Connect(1);
  protocol->transport->PauseReading();
  Send({Data(1, "held"), Lost(1, v1::END_CAUSE_RESET)});
  EXPECT_TRUE(protocol->transport->Write("").ok());
  Turn();
  EXPECT_THAT(events, IsEmpty());
  EXPECT_TRUE(protocol->transport->Write("xyz").ok());
  EXPECT_THAT(events, IsEmpty());
  Turn();
  EXPECT_THAT(events, ElementsAre("lost RESET"));
  EXPECT_EQ(protocol->end.dropped_bytes, 3u);
}

TEST_F(RemoteReadingTest, RevokedAndStoppingEndAPausedTransport) {
  for (const v1::EndCause cause : {v1::END_CAUSE_POLICY_REVOKED, v1::END_CAUSE_SERVICE_STOPPING}) {
    auto protocol = Connect(static_cast<uint32_t>(cause));
    protocol->transport->PauseReading();
    Send({Lost(static_cast<uint32_t>(cause), cause)});
    ASSERT_THAT(events, testing::SizeIs(1));
    events.clear();
  }
}

TEST_F(RemoteReadingTest, NothingIsDeliveredAfterClose) {
  auto protocol = Connect(1);
  protocol->on_data = [&] { protocol->transport->Close(); };
  Send({Data(1, "a"), Data(1, "b"), Eof(1), Lost(1, v1::END_CAUSE_LOCAL_CLOSE)});
  EXPECT_THAT(events, ElementsAre("data a", "lost LOCAL_CLOSE"));
}

TEST_F(RemoteReadingTest, ResetAfterLocalCloseWithEverythingSentIsAnOrderlyEnd) {
  auto protocol = Connect(1);
  protocol->transport->Close();
  Send({Lost(1, v1::END_CAUSE_RESET)});
  EXPECT_THAT(events, ElementsAre("lost LOCAL_CLOSE"));
}

TEST_F(RemoteReadingTest, SetProtocolSwitchesWithTheNextCallback) {
  auto first = Connect(1);
  auto second = std::make_shared<BufferedRecorder>(events);
  first->on_data = [&] { first->transport->SetProtocol(second); };
  Send({Data(1, "one"), Data(1, "two")});
  EXPECT_THAT(events, ElementsAre("data one", "updated two"));
  EXPECT_EQ(first->transport->GetProtocol(), second);
}

// --- What the service is told

TEST_F(RemoteReadingTest, ServiceIsToldOfAPauseThatLasts) {
  auto protocol = Connect(1);
  protocol->transport->PauseReading();
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(TakeCommands(), IsEmpty());
  protocol->transport->PauseReading();
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("pause_reading 1"));
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("resume_reading 1"));
}

TEST_F(RemoteReadingTest, ServiceReadsAgainOnlyWhenNothingIsHeld) {
  auto protocol = Connect(1);
  protocol->transport->PauseReading();
  Send({Data(1, "a"), Data(1, "b")});
  TakeCommands();
  protocol->on_data = [&] { protocol->transport->PauseReading(); };
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(events, ElementsAre("data a"));
  EXPECT_THAT(TakeCommands(), IsEmpty());
  protocol->on_data = nullptr;
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(events, ElementsAre("data a", "data b"));
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("resume_reading 1"));
}

TEST_F(RemoteReadingTest, ConsumedDataIsAcknowledgedAtAQuarterOfTheWindow) {
  Connect(1);
  Send({Data(1, std::string(500, 'x'))});
  EXPECT_THAT(TakeAcknowledgements(), IsEmpty());
  Send({Data(1, std::string(500, 'x'))});
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: 1000 bytes, 2"));
  Send({Data(1, std::string(500, 'x'))});
  EXPECT_THAT(TakeAcknowledgements(), IsEmpty());
}

TEST_F(RemoteReadingTest, DataThatArrivesInPiecesIsDeliveredInPiecesAndCountedOnce) {
  Connect(1);
  const std::string data = std::string(40, 'a') + std::string(60, 'b') + std::string(900, 'c');
  Send({Data(1, data)}, /*piece_bytes=*/50);
  std::string delivered;
  for (const std::string& event : events) delivered += event.substr(std::string("data ").size());
  EXPECT_EQ(delivered, data);
  EXPECT_GT(events.size(), 10u);
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: 1000 bytes, 1"));
}

TEST_F(RemoteReadingTest, PauseBetweenPiecesHoldsTheRest) {
  auto protocol = Connect(1);
  protocol->on_data = [&] { protocol->transport->PauseReading(); };
  Send({Data(1, std::string(600, 'x') + std::string(600, 'y')), Data(1, "next")}, /*piece_bytes=*/620);
  ASSERT_EQ(events.size(), 1u);
  const size_t delivered_bytes = events[0].size() - std::string("data ").size();
  // With the pause.
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: " + std::to_string(delivered_bytes) + " bytes, 0"));
  protocol->on_data = nullptr;
  protocol->transport->ResumeReading();
  Turn();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0] + events[1].substr(std::string("data ").size()),
            "data " + std::string(600, 'x') + std::string(600, 'y'));
  EXPECT_EQ(events[2], "data next");
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: 1204 bytes, 2"));
}

TEST_F(RemoteReadingTest, AcknowledgementsRideOnAFrameThatGoesAnyway) {
  auto protocol = Connect(1);
  protocol->on_data = [&] { ASSERT_TRUE(protocol->transport->Write("pong").ok()); };
  Send({Data(1, "ping")});
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: 4 bytes, 1"));
}

TEST_F(RemoteReadingTest, HeldDataIsNotAcknowledgedUntilThePauseIsConfirmed) {
  auto protocol = Connect(1);
  protocol->transport->PauseReading();
  Turn();
  const uint32_t request_id = TakeCommands().back().request_id();
  Send({Data(1, std::string(3000, 'x'))});
  EXPECT_THAT(TakeAcknowledgements(), IsEmpty());
  Send({ReplyTo(request_id)});
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: 3000 bytes, 1"));
  // Delivered later, it is not counted twice.
  protocol->transport->ResumeReading();
  Turn();
  Send({Data(1, std::string(1000, 'x'))});
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: 4000 bytes, 2"));
}

TEST_F(RemoteReadingTest, DataThatIsThrownAwayIsAcknowledged) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write("x").ok());
  protocol->transport->Close();
  Send({Data(1, std::string(2000, 'x'))});
  EXPECT_THAT(events, IsEmpty());
  EXPECT_THAT(TakeAcknowledgements(), ElementsAre("1: 2000 bytes, 1"));
}

// --- Buffered protocols

TEST_F(RemoteReadingTest, BufferedProtocolIsFedPieceByPiece) {
  auto protocol = std::make_shared<BufferedRecorder>(events);
  const uint32_t request_id = AskForConnection(protocol);
  Send({Made(1, request_id), Connected(1, request_id), Data(1, "0123456789"), Eof(1)});
  EXPECT_THAT(events, ElementsAre("done", "updated 0123", "updated 4567", "updated 89", "eof"));
  EXPECT_THAT(protocol->hints, ElementsAre(10u, 6u, 2u));
  EXPECT_EQ(protocol->transport->ReceivedBytes(), 10u);
}

TEST_F(RemoteReadingTest, BufferedProtocolMayPauseInTheMiddle) {
  auto protocol = std::make_shared<BufferedRecorder>(events);
  const uint32_t request_id = AskForConnection(protocol);
  protocol->on_data = [&] { protocol->transport->PauseReading(); };
  Send({Made(1, request_id), Connected(1, request_id), Data(1, "0123456789")});
  EXPECT_THAT(events, ElementsAre("done", "updated 0123"));
  protocol->on_data = nullptr;
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(events, ElementsAre("done", "updated 0123", "updated 4567", "updated 89"));
}

TEST_F(RemoteReadingTest, EmptyBufferAbortsTheTransport) {
  std::vector<std::string> told;
  loop->SetExceptionHandler(
      [&](const ExceptionContext& context) { told.push_back(ToTransportError(context.status).reason); });
  auto protocol = std::make_shared<BufferedRecorder>(events);
  const uint32_t request_id = AskForConnection(protocol);
  protocol->room = 0;
  Send({Made(1, request_id), Connected(1, request_id), Data(1, "x")});
  EXPECT_THAT(told, ElementsAre("EMPTY_BUFFER"));
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("abort 1"));
  Send({Lost(1, v1::END_CAUSE_LOCAL_ABORT)});
  EXPECT_THAT(events, ElementsAre("done", "lost LOCAL_ABORT"));
  EXPECT_THAT(protocol->end.status, HasReason("EMPTY_BUFFER"));
}

// --- Socket options

TEST_F(RemoteReadingTest, SocketOptionsAreAskedOfTheService) {
  auto protocol = Connect(1);
  absl::StatusOr<int> value = 0;
  protocol->transport->Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> got) { value = got; });
  Turn();
  const v1::Command command = TakeCommands().back();
  EXPECT_EQ(command.getsockopt().option(), v1::SOCKET_OPTION_TCP_NODELAY);
  v1::Callback reply = ReplyTo(command.request_id());
  reply.mutable_reply()->mutable_getsockopt()->set_value(1);
  Send({reply});
  EXPECT_EQ(*value, 1);
  Send({Lost(1, v1::END_CAUSE_RESET)});
  protocol->transport->Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> got) { value = got; });
  EXPECT_THAT(value, HasReason("TRANSPORT_LOST"));
}

}  // namespace
}  // namespace transportd
