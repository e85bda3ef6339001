// Opening, create_connection, cancelling, and the end of the session.
#include "clients/cpp/remote_event_loop.h"

#include "tests/support/fake_gate.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/remote/scripted_service.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

using RemoteEventLoopTest = ScriptedService;

CreateConnectionOptions To(const std::string& host, uint32_t port) {
  CreateConnectionOptions options;
  options.remote = {.host = host, .port = port};
  return options;
}

TEST_F(RemoteEventLoopTest, FirstFrameOpensAnAcknowledgedSession) {
  ASSERT_THAT(channel->frames, SizeIs(1));
  EXPECT_EQ(channel->frames[0].open().revision(), 1u);
  EXPECT_TRUE(channel->frames[0].open().acknowledged());
  EXPECT_EQ(channel->frames[0].open().client_name(), "test");
}

TEST_F(RemoteEventLoopTest, CommandsWaitUntilTheServiceHasOpened) {
  MakeLoop();
  AskForConnection(std::make_shared<Recorder>(events));
  EXPECT_THAT(channel->frames, SizeIs(1));
  EXPECT_FALSE(loop->IsConnected());
  SendOpened();
  ASSERT_THAT(channel->frames, SizeIs(2));
  EXPECT_TRUE(channel->frames[1].commands(0).has_create_connection());
  EXPECT_EQ(channel->frames[1].acknowledged_sequence(), 1u);
}

TEST_F(RemoteEventLoopTest, WaitOpenedTellsHowTheStreamEnded) {
  MakeLoop();
  loop->reactor().CallSoon(
      [handler = channel->handler] { handler.lock()->OnClosed(absl::UnauthenticatedError("who are you")); });
  EXPECT_THAT(loop->WaitOpened(std::chrono::seconds(10)), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(RemoteEventLoopTest, WaitOpenedTimesOut) {
  MakeLoop();
  EXPECT_THAT(loop->WaitOpened(std::chrono::milliseconds(1)), HasReason("CONNECT_TIMEOUT"));
}

TEST_F(RemoteEventLoopTest, CreateConnectionCallsMadeThenDoneThenData) {
  auto protocol = std::make_shared<Recorder>(events);
  const uint32_t request_id = AskForConnection(protocol);
  EXPECT_EQ(loop->GetCounts().operations, 1u);
  // A turn in between: `done` does not come from where ConnectionMade does.
  protocol->on_made = [this] { loop->CallSoon([this] { events.push_back("next turn"); }); };
  Send({Made(7, request_id), Connected(7, request_id), Data(7, "abc"), Eof(7)});
  EXPECT_THAT(events, ElementsAre("made", "next turn", "done", "data abc", "eof"));
  EXPECT_EQ(protocol->transport->GetExtraInfo().peername->ToString(), "127.0.0.1:80");
  EXPECT_EQ(loop->GetCounts().operations, 0u);
  EXPECT_EQ(loop->GetCounts().transports, 1u);
}

TEST_F(RemoteEventLoopTest, CreateConnectionCarriesEveryOptionThatIsSet) {
  CreateConnectionOptions options = To("example.test", 443);
  options.family = AddressFamily::kInet6;
  options.local = HostPort{.host = "::1", .port = std::nullopt};
  options.happy_eyeballs_delay = std::chrono::milliseconds(250);
  options.interleave = 2;
  options.timeout = std::chrono::milliseconds(1500);
  loop->CreateConnection([] { return nullptr; }, options, [](const auto&) {});
  Turn();
  const v1::CreateConnectionRequest request = TakeCommands().back().create_connection();
  EXPECT_EQ(request.remote().host(), "example.test");
  EXPECT_EQ(request.remote().port(), 443u);
  EXPECT_EQ(request.family(), v1::ADDRESS_FAMILY_INET6);
  EXPECT_EQ(request.local().host(), "::1");
  EXPECT_FALSE(request.local().has_port());
  EXPECT_EQ(request.happy_eyeballs_delay().nanos(), 250'000'000);
  EXPECT_EQ(request.interleave(), 2u);
  EXPECT_EQ(request.timeout().seconds(), 1);
  EXPECT_EQ(request.timeout().nanos(), 500'000'000);
}

TEST_F(RemoteEventLoopTest, UnsetEmptyAndZeroStayDifferent) {
  loop->CreateConnection([] { return nullptr; }, {}, [](const auto&) {});
  loop->CreateConnection([] { return nullptr; }, To("", 0), [](const auto&) {});
  Turn();
  const auto commands = TakeCommands();
  ASSERT_THAT(commands, SizeIs(2));
  EXPECT_FALSE(commands[0].create_connection().remote().has_host());
  EXPECT_FALSE(commands[0].create_connection().remote().has_port());
  EXPECT_FALSE(commands[0].create_connection().has_happy_eyeballs_delay());
  EXPECT_TRUE(commands[1].create_connection().remote().has_host());
  EXPECT_TRUE(commands[1].create_connection().remote().has_port());
}

TEST_F(RemoteEventLoopTest, ErrorsArriveWhole) {
  absl::Status status;
  loop->CreateConnection([] { return nullptr; }, To("127.0.0.1", 1),
                         [&](const auto& connection) { status = connection.status(); });
  Turn();
  v1::Callback reply = ReplyTo(TakeCommands().back().request_id());
  v1::TransportError& error = *reply.mutable_reply()->mutable_error();
  error.set_code(14);
  error.set_reason("ECONNREFUSED");
  error.set_message("all failed");
  error.add_causes()->set_code(14);
  error.mutable_causes(0)->set_errno_number(111);
  error.mutable_causes(0)->set_address("127.0.0.1:1");
  Send({reply});
  const TransportError got = ToTransportError(status);
  EXPECT_EQ(got.code, absl::StatusCode::kUnavailable);
  EXPECT_EQ(got.reason, "ECONNREFUSED");
  ASSERT_THAT(got.causes, SizeIs(1));
  EXPECT_EQ(got.causes[0].errno_number, 111);
  EXPECT_EQ(got.causes[0].address, "127.0.0.1:1");
  EXPECT_EQ(loop->GetCounts().operations, 0u);
}

TEST_F(RemoteEventLoopTest, BadLimitsAndBadHostsAreRefusedInALaterTurn) {
  CreateConnectionOptions options = To("127.0.0.1", 1);
  options.write_buffer_limits = {.high_bytes = 1, .low_bytes = 2};
  std::vector<absl::Status> statuses;
  const auto done = [&](const absl::StatusOr<Connection>& connection) { statuses.push_back(connection.status()); };
  loop->CreateConnection([] { return nullptr; }, options, done);
  loop->CreateConnection([] { return nullptr; }, To("\xff\xfe", 1), done);
  loop->CreateConnection([] { return nullptr; }, To(std::string(200'000, 'a'), 1), done);
  EXPECT_THAT(statuses, IsEmpty());
  Turn();
  EXPECT_THAT(statuses,
              ElementsAre(HasReason("INVALID_LIMITS"), HasReason("INVALID_HOST"), HasReason("FRAME_TOO_LARGE")));
  EXPECT_THAT(TakeCommands(), IsEmpty());
}

TEST_F(RemoteEventLoopTest, GateIsRefusedByEveryCallThatHasOne) {
  const auto gate = std::make_shared<FakeGate>();
  std::vector<absl::Status> statuses;
  const auto note = [&](const auto& result) { statuses.push_back(result.status()); };
  const auto factory = [] { return nullptr; };
  CreateConnectionOptions connect = To("h", 1);
  connect.gate = gate;
  loop->CreateConnection(factory, connect, note);
  CreateServerOptions serve;
  serve.gate = gate;
  loop->CreateServer(factory, serve, note);
  loop->CreateUnixConnection(factory, {.path = "/s", .gate = gate}, note);
  loop->CreateUnixServer(factory, {.path = "/s", .gate = gate}, note);
  loop->ConnectReadPipe(factory, {.path = "/p", .gate = gate}, note);
  loop->ConnectWritePipe(factory, {.path = "/p", .gate = gate}, note);
  loop->CreateDatagramEndpoint(factory, {.family = AddressFamily::kInet, .gate = gate}, note);
  const auto protocol = std::make_shared<Recorder>(events);
  const uint32_t request_id = AskForConnection(protocol);
  Send({Made(7, request_id), Connected(7, request_id)});
  TakeCommands();
  loop->Sendfile(protocol->transport, {.path = "/f", .gate = gate}, note);
  Turn();
  EXPECT_THAT(statuses, AllOf(SizeIs(8), Each(AllOf(HasReason("INVALID_GATE"), HasField("gate")))));
  EXPECT_THAT(TakeCommands(), IsEmpty());
  EXPECT_THAT(gate->asked(), IsEmpty());
}

TEST_F(RemoteEventLoopTest, CancelledConnectionLeavesNothingWhenItSucceedsAnyway) {
  OperationId operation = 0;
  const uint32_t request_id = AskForConnection(std::make_shared<Recorder>(events), &operation);
  loop->CancelOperation(operation);
  EXPECT_THAT(events, IsEmpty());
  Turn();
  EXPECT_THAT(events, ElementsAre("failed CANCELLED"));
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("cancel"));
  Send({Made(7, request_id), Connected(7, request_id), Data(7, "x")});
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("abort 7"));
  EXPECT_THAT(events, ElementsAre("failed CANCELLED"));
  Send({Lost(7, v1::END_CAUSE_LOCAL_ABORT)});
  EXPECT_EQ(loop->GetCounts().transports, 0u);
  EXPECT_EQ(loop->GetCounts().operations, 0u);
}

TEST_F(RemoteEventLoopTest, CancelAfterConnectionMadeAbortsTheTransport) {
  OperationId operation = 0;
  const uint32_t request_id = AskForConnection(std::make_shared<Recorder>(events), &operation);
  Send({Made(7, request_id)});
  loop->CancelOperation(operation);
  loop->CancelOperation(operation);
  Send({Connected(7, request_id), Data(7, "x")});
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("cancel", "abort 7"));
  Send({Lost(7, v1::END_CAUSE_LOCAL_ABORT)});
  EXPECT_THAT(events, ElementsAre("made", "failed CANCELLED", "lost LOCAL_ABORT"));
}

TEST_F(RemoteEventLoopTest, CancelOfADoneOperationDoesNothing) {
  OperationId operation = 0;
  const uint32_t request_id = AskForConnection(std::make_shared<Recorder>(events), &operation);
  Send({Made(7, request_id), Connected(7, request_id)});
  loop->CancelOperation(operation);
  Turn();
  EXPECT_THAT(TakeCommands(), IsEmpty());
  EXPECT_THAT(events, ElementsAre("made", "done"));
}

TEST_F(RemoteEventLoopTest, LostSessionTellsEverybodyOnce) {
  auto protocol = Connect(7);
  ASSERT_TRUE(protocol->transport->Write("12345").ok());
  AskForConnection(std::make_shared<Recorder>(events));
  CloseStream(absl::UnavailableError("socket closed"));
  EXPECT_THAT(events, ElementsAre("failed SESSION_LOST", "lost SESSION_LOST"));
  EXPECT_THAT(protocol->end.status, HasReason("SESSION_LOST"));
  EXPECT_THAT(protocol->end.status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(protocol->end.dropped_bytes, 5u);
  EXPECT_FALSE(loop->IsConnected());
  EXPECT_EQ(loop->GetCounts().transports, 0u);

  events.clear();
  loop->CreateConnection(
      [] { return nullptr; }, To("::1", 1),
      [&](const auto& connection) { events.push_back(ToTransportError(connection.status()).reason); });
  loop->CreateServer([] { return nullptr; }, {},
                     [&](const auto& server) { events.push_back(ToTransportError(server.status()).reason); });
  EXPECT_THAT(events, IsEmpty());
  Turn();
  EXPECT_THAT(events, ElementsAre("SESSION_LOST", "SESSION_LOST"));
  // Harmless.
  EXPECT_TRUE(protocol->transport->Write("x").ok());
  protocol->transport->Close();
  protocol->transport->Abort();
  protocol->transport->ResumeReading();
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), 0u);
}

TEST_F(RemoteEventLoopTest, AStreamThatEndsInOrderIsALostSessionToo) {
  auto protocol = Connect(7);
  CloseStream(absl::OkStatus());
  EXPECT_THAT(events, ElementsAre("lost SESSION_LOST"));
}

TEST_F(RemoteEventLoopTest, DestroyedLoopCallsNobody) {
  auto protocol = Connect(7);
  protocol->transport->PauseReading();
  Send({Data(7, "held")});
  AskForConnection(std::make_shared<Recorder>(events));
  loop.reset();
  EXPECT_THAT(events, IsEmpty());
  EXPECT_TRUE(protocol->transport->IsClosing());
  EXPECT_TRUE(protocol->transport->Write("x").ok());
  EXPECT_TRUE(channel->half_closed);
}

TEST_F(RemoteEventLoopTest, ExceptionContextReachesTheHandler) {
  std::vector<std::string> told;
  loop->SetExceptionHandler([&](const ExceptionContext& context) {
    told.push_back(context.message + " " + ToTransportError(context.status).reason);
  });
  v1::Callback callback;
  callback.mutable_call_exception_handler()->set_message("accept");
  callback.mutable_call_exception_handler()->mutable_error()->set_code(8);
  callback.mutable_call_exception_handler()->mutable_error()->set_reason("EMFILE");
  Send({callback});
  EXPECT_THAT(told, ElementsAre("accept EMFILE"));
}

TEST_F(RemoteEventLoopTest, DrainingIsTold) {
  v1::Callback callback;
  callback.mutable_draining()->mutable_time_left()->set_seconds(7);
  callback.mutable_draining()->mutable_time_left()->set_nanos(5);
  Send({callback});  // Nobody asked.
  std::vector<Duration> told;
  loop->SetDrainingHandler([&](Duration time_left) { told.push_back(time_left); });
  // Twice: a service that does not keep to the contract.
  Send({callback, callback});
  EXPECT_THAT(told, ElementsAre(std::chrono::seconds(7) + std::chrono::nanoseconds(5)));
  told.clear();
  loop->SetDrainingHandler([&](Duration time_left) { told.push_back(time_left); });
  callback.mutable_draining()->mutable_time_left()->set_seconds(-1);
  callback.mutable_draining()->mutable_time_left()->set_nanos(-1);
  Send({callback});
  EXPECT_THAT(told, ElementsAre(Duration{0}));
}

TEST_F(RemoteEventLoopTest, UnknownCallbacksAndUnknownIdsAreIgnored) {
  auto protocol = Connect(7);
  v1::Callback pause;
  pause.set_transport_id(7);
  pause.mutable_pause_writing();
  v1::Callback empty;
  Send({pause, empty, Data(99, "x"), Progress(99, 5), Eof(99), Lost(99, v1::END_CAUSE_EOF), ReplyTo(12345)});
  EXPECT_THAT(events, IsEmpty());
  EXPECT_TRUE(loop->IsConnected());
}

// --- Frames that break the contract: SESSION_LOST, nothing worse.

std::string Frame(uint64_t sequence, const std::vector<v1::Callback>& callbacks, bool opened = false,
                  uint64_t acknowledged_sequence = 0) {
  v1::SessionResponse frame;
  frame.set_sequence(sequence);
  frame.set_acknowledged_sequence(acknowledged_sequence);
  if (opened) frame.mutable_opened()->set_revision(1);
  for (const v1::Callback& callback : callbacks) *frame.add_callbacks() = callback;
  return frame.SerializeAsString();
}

TEST_F(RemoteEventLoopTest, BadFramesLoseTheSession) {
  std::string bad_entry = Frame(3, {});
  bad_entry += std::string("\x22\x03\xff\xff\xff", 5);
  std::string bad_data_entry = Frame(3, {});
  bad_data_entry += std::string("\x22\x04\x08\x07\x12\x09", 6);  // data_received of 9 bytes in an entry of 4.
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"not a frame", "\xff\xff\xff"},
      {"a gap", Frame(4, {})},
      {"twice the same number", Frame(2, {})},
      {"no number", Frame(0, {})},
      {"opened again", Frame(3, {}, true)},
      {"acknowledges what was not sent", Frame(3, {}, false, 99)},
      {"a callback that cannot be read", bad_entry},
      {"data that is cut off", bad_data_entry},
      {"more written than given", Frame(3, {Progress(7, 1)})},
      {"more written than given, at the end", Frame(3, {Lost(7, v1::END_CAUSE_EOF, 1)})},
      {"an id used twice", Frame(3, {Made(7, 0, 1)})},
  };
  for (const auto& [what, bytes] : bad) {
    SCOPED_TRACE(what);
    MakeLoop();
    SendOpened();
    auto protocol = Connect(7);  // Frame 2.
    SendBytes(bytes);
    EXPECT_THAT(events, ElementsAre("lost SESSION_LOST"));
    EXPECT_TRUE(channel->half_closed);
    EXPECT_FALSE(loop->IsConnected());
    events.clear();
  }
}

TEST_F(RemoteEventLoopTest, BadFirstFramesLoseTheSession) {
  v1::SessionResponse other_revision;
  other_revision.set_sequence(1);
  other_revision.mutable_opened()->set_revision(2);
  for (const std::string& bytes : {Frame(1, {}), Frame(1, {}, true), other_revision.SerializeAsString()}) {
    MakeLoop();
    SendBytes(bytes);
    EXPECT_THAT(loop->WaitOpened(std::chrono::seconds(1)), HasReason("BAD_FRAME"));
  }
}

TEST_F(RemoteEventLoopTest, ConnectionWithoutConnectionMadeBreaksTheContract) {
  const uint32_t request_id = AskForConnection(std::make_shared<Recorder>(events));
  Send({Connected(7, request_id)});
  EXPECT_FALSE(loop->IsConnected());
  EXPECT_THAT(events, ElementsAre("failed SESSION_LOST"));
}

}  // namespace
}  // namespace transportd
