#include "server/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/support/fake_resolver.h"
#include "tests/unit/session/session_fixture.h"

namespace transportd {
namespace {

using testing::HasSubstr;

// --- Opening and frames ----------------------------------------------------------------------------------------------

TEST_F(SessionTest, OpenIsAnsweredWithLimitsAndId) {
  StartOpen();
  EXPECT_EQ(stream_->opened()->revision(), 1u);
  EXPECT_EQ(stream_->opened()->session_id(), "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(stream_->opened()->limits().receive_window_bytes(), limits_.receive_window_bytes);
  EXPECT_EQ(stream_->acknowledged_sequence(), 1u);
}

TEST_F(SessionTest, FrameBeforeOpenEndsTheStream) {
  Start();
  v1::Command command;
  command.mutable_close()->set_transport_id(1);
  stream_->Deliver(command);
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "OPEN_EXPECTED");
}

TEST_F(SessionTest, SecondOpenEndsTheStream) {
  StartOpen();
  stream_->Deliver(OpenFrame());
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "OPEN_REPEATED");
}

TEST_F(SessionTest, OtherRevisionIsRefused) {
  Start();
  v1::SessionRequest frame;
  frame.mutable_open()->set_revision(2);
  stream_->Deliver(std::move(frame));
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "UNSUPPORTED_REVISION");
}

TEST_F(SessionTest, GapInTheNumbersEndsTheStream) {
  StartOpen();
  v1::SessionRequest frame;
  frame.set_sequence(3);
  stream_->Deliver(frame.SerializeAsString());
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "BAD_FRAME");
}

TEST_F(SessionTest, BytesThatAreNoFrameEndTheStream) {
  StartOpen();
  stream_->Deliver(std::string("\xff\xff\xff\xff"));
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "BAD_FRAME");
}

TEST_F(SessionTest, BytesThatAreNoCommandEndTheStream) {
  StartOpen();
  stream_->Deliver(std::string("\x10\x02\x22\x03\x82\x01\x7f", 7));  // A create_connection longer than its entry.
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "BAD_FRAME");
}

TEST_F(SessionTest, AcknowledgingAFrameThatWasNotSentEndsTheStream) {
  StartOpen();
  v1::SessionRequest frame;
  frame.set_acknowledged_sequence(stream_->sequence() + 1);
  stream_->Deliver(std::move(frame));
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "BAD_FRAME");
}

TEST_F(SessionTest, AbsurdLimitsOfOpenAreRefusedByName) {
  Start();
  v1::SessionRequest frame = OpenFrame();
  frame.mutable_open()->set_receive_window_bytes(17);
  stream_->Deliver(std::move(frame));
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "INVALID_WINDOW");
  EXPECT_THAT(stream_->finished()->message(), HasSubstr("open.receive_window_bytes"));
}

TEST_F(SessionTest, LeaseOnTheStreamIsRefused) {
  Start();
  v1::SessionRequest frame = OpenFrame();
  frame.mutable_open()->mutable_lease()->set_seconds(5);
  stream_->Deliver(std::move(frame));
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "INVALID_LEASE");
}

// --- Commands --------------------------------------------------------------------------------------------------------

TEST_F(SessionTest, UnknownCommandIsAnsweredAndNothingElse) {
  StartOpen();
  const v1::Reply* reply = Ask(v1::Command(), 7);
  EXPECT_EQ(reply->error().reason(), "UNKNOWN_COMMAND");
  EXPECT_EQ(reply->error().code(), static_cast<int>(absl::StatusCode::kUnimplemented));
  EXPECT_FALSE(stream_->finished().has_value());
}

// Walks the descriptor: a command that is added and does not ask fails here.
TEST_F(SessionTest, EveryCommandAsksWhetherItMay) {
  StartOpen();
  authorizer_.refuses = true;
  const auto* variants = v1::Command::descriptor()->oneof_decl(0);
  ASSERT_GT(variants->field_count(), 15);
  for (int i = 0; i < variants->field_count(); ++i) {
    const auto* variant = variants->field(i);
    v1::Command command;
    if (variant->message_type() != nullptr) {
      command.GetReflection()->MutableMessage(&command, variant);
    } else {
      command.GetReflection()->SetString(&command, variant, "data");
    }
    authorizer_.asked.clear();
    const v1::Reply* reply = Ask(command, static_cast<uint32_t>(i + 1));
    EXPECT_EQ(reply->error().reason(), "POLICY_DENIED") << variant->name();
    ASSERT_EQ(authorizer_.asked.size(), 1u) << variant->name();
    EXPECT_THAT(authorizer_.asked[0], testing::StartsWith("transportd.v1.")) << variant->name();
  }
}

TEST_F(SessionTest, CommandForAnIdThatNeverWasIsNotFound) {
  StartOpen();
  v1::Command command;
  command.mutable_close()->set_transport_id(5);
  EXPECT_EQ(Ask(command, 1)->error().reason(), "UNKNOWN_TRANSPORT");
  command.mutable_server_close()->set_server_id(5);
  EXPECT_EQ(Ask(command, 2)->error().reason(), "UNKNOWN_TRANSPORT");
}

TEST_F(SessionTest, CommandForALostTransportDoesNothing) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  v1::Command command;
  command.mutable_abort()->set_transport_id(id);
  EXPECT_TRUE(Ask(command, 1)->has_abort());
  ASSERT_TRUE(RunUntil([&] { return stream_->FindLost(id) != nullptr; }));
  EXPECT_EQ(stream_->FindLost(id)->cause(), v1::END_CAUSE_LOCAL_ABORT);
  command.mutable_close()->set_transport_id(id);
  EXPECT_TRUE(Ask(command, 2)->has_close());
  command.mutable_get_state()->set_transport_id(id);
  EXPECT_TRUE(Ask(command, 3)->get_state().is_closing());
  command.mutable_getsockopt()->set_transport_id(id);
  command.mutable_getsockopt()->set_option(v1::SOCKET_OPTION_TCP_NODELAY);
  EXPECT_EQ(Ask(command, 4)->error().reason(), "TRANSPORT_LOST");
}

TEST_F(SessionTest, StreamCommandForAServerIsTheWrongKind) {
  StartOpen();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  const uint32_t id = Ask(command, 1)->create_server().server_id();
  command.mutable_write_eof()->set_transport_id(id);
  EXPECT_EQ(Ask(command, 2)->error().reason(), "WRONG_KIND");
}

TEST_F(SessionTest, RequestIdInUseIsRefused) {
  StartOpen();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  const uint32_t id = Ask(command, 1)->create_server().server_id();
  v1::Command wait;
  wait.set_request_id(9);
  wait.mutable_wait_closed()->set_server_id(id);
  stream_->Deliver(wait);
  ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
  EXPECT_EQ(Ask(wait, 9)->error().reason(), "REQUEST_ID_IN_USE");
}

TEST_F(SessionTest, CancelledCommandAnswersCancelled) {
  StartOpen();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  const uint32_t id = Ask(command, 1)->create_server().server_id();
  v1::Command wait;
  wait.set_request_id(9);
  wait.mutable_wait_closed()->set_server_id(id);
  stream_->Deliver(wait);
  v1::Command cancel;
  cancel.mutable_cancel()->set_request_id(9);
  EXPECT_TRUE(Ask(cancel, 10)->has_cancel());
  ASSERT_NE(stream_->FindReply(9), nullptr);
  EXPECT_EQ(stream_->FindReply(9)->error().reason(), "CANCELLED");
}

TEST_F(SessionTest, FullTableOfCommandsStillTakesWhatIsAnsweredAtOnce) {
  limits_.max_request_count = 1;
  StartOpen();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  const uint32_t id = Ask(command, 1)->create_server().server_id();
  v1::Command wait;
  wait.set_request_id(9);
  wait.mutable_wait_closed()->set_server_id(id);
  stream_->Deliver(wait);
  EXPECT_EQ(Ask(wait, 10)->error().reason(), "TOO_MANY_REQUESTS");
  EXPECT_EQ(stream_->FindReply(9), nullptr);
  command.mutable_server_close()->set_server_id(id);
  EXPECT_TRUE(Ask(command, 11)->has_server_close());
  ASSERT_TRUE(RunUntil([&] { return stream_->FindReply(9) != nullptr; }));
  EXPECT_TRUE(stream_->FindReply(9)->has_wait_closed());
}

TEST_F(SessionTest, AnotherSessionsIdIsRefused) {
  StartOpen();
  v1::Command command;
  command.mutable_close()->set_session_id("another");
  command.mutable_close()->set_transport_id(1);
  EXPECT_EQ(Ask(command, 1)->error().reason(), "WRONG_SESSION");
}

TEST_F(SessionTest, BadInputNamesTheField) {
  StartOpen();
  v1::Command command;
  command.mutable_create_connection()->mutable_remote()->set_host("127.0.0.1");
  command.mutable_create_connection()->mutable_remote()->set_port(70000);
  const v1::TransportError& bad_port = Ask(command, 1)->error();
  EXPECT_EQ(bad_port.reason(), "INVALID_PORT");
  EXPECT_EQ(bad_port.field(), "remote.port");
  EXPECT_EQ(bad_port.code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  command.mutable_create_connection()->mutable_remote()->set_port(80);
  command.mutable_create_connection()->mutable_timeout()->set_seconds(-1);
  EXPECT_EQ(Ask(command, 2)->error().field(), "timeout");
  command.mutable_create_connection()->mutable_timeout()->set_seconds(INT64_MAX);
  EXPECT_EQ(Ask(command, 3)->error().field(), "timeout");
  command.Clear();
  command.mutable_create_server()->set_port(70000);
  EXPECT_EQ(Ask(command, 4)->error().field(), "port");
  command.mutable_create_server()->clear_port();
  command.mutable_create_server()->set_backlog(0);
  EXPECT_EQ(Ask(command, 5)->error().field(), "backlog");
}

class SessionNamesTest : public SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    loop_ = *EpollEventLoop::Create({.resolver = &resolver_});
  }
  FakeResolver resolver_;
};

TEST_F(SessionNamesTest, EveryNameIsAskedForByThePrincipal) {
  StartOpen();
  v1::Command command;
  command.mutable_create_connection()->mutable_remote()->set_host("name");
  command.mutable_create_connection()->mutable_remote()->set_port(80);
  command.mutable_create_connection()->mutable_local()->set_host("name");
  EXPECT_EQ(Ask(command, 1)->error().reason(), "EAI_NONAME");
  EXPECT_EQ(resolver_.askers().size(), 2u);
  command.mutable_create_server()->add_hosts("name");
  command.mutable_create_server()->set_port(0);
  EXPECT_EQ(Ask(command, 2)->error().reason(), "EAI_NONAME");
  *command.mutable_create_datagram_endpoint()->mutable_remote() = v1::HostPort();
  command.mutable_create_datagram_endpoint()->mutable_remote()->set_host("name");
  command.mutable_create_datagram_endpoint()->mutable_remote()->set_port(80);
  EXPECT_EQ(Ask(command, 3)->error().reason(), "EAI_NONAME");
  command.mutable_getaddrinfo()->set_host("name");
  EXPECT_EQ(Ask(command, 4)->error().reason(), "EAI_NONAME");
  command.mutable_getnameinfo()->mutable_address()->set_family(v1::ADDRESS_FAMILY_INET);
  command.mutable_getnameinfo()->mutable_address()->set_host("192.0.2.1");
  EXPECT_TRUE(Ask(command, 5)->has_getnameinfo());
  EXPECT_EQ(resolver_.askers().size(), 6u);
  EXPECT_THAT(resolver_.askers(), testing::Each(testing::Field(&Asker::name, "dev")));
}

TEST_F(SessionTest, RefusedConnectTellsErrnoAndAddress) {
  StartOpen();
  const SocketAddress nobody = RefusedAddress();
  const v1::TransportError& error = Ask(ConnectTo(nobody), 1)->error();
  EXPECT_EQ(error.reason(), "ECONNREFUSED");
  EXPECT_EQ(error.errno_number(), ECONNREFUSED);
  EXPECT_EQ(error.errno_name(), "ECONNREFUSED");
  EXPECT_EQ(error.operation(), "connect");
  EXPECT_EQ(error.address(), nobody.ToString());
}

TEST_F(SessionTest, RefusedWriteIsNotCarriedOut) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  v1::Command wait;
  wait.mutable_wait_closed()->set_server_id(Ask(command, 1)->create_server().server_id());
  wait.set_request_id(9);
  stream_->Deliver(wait);
  v1::Command write;
  write.set_transport_id(id);
  write.set_write("twice");
  EXPECT_EQ(Ask(write, 9)->error().reason(), "REQUEST_ID_IN_USE");
  write.set_write("once");
  EXPECT_FALSE(Ask(write, 10)->has_error());
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return !peer.received().empty();
  }));
  EXPECT_EQ(peer.received(), "once");
}

TEST_F(SessionTest, ConnectionsUnderWayCountAsTransports) {
  limits_.max_transport_count = 2;
  RawListener listener;
  StartOpen();
  v1::SessionRequest frame;
  for (uint32_t i = 1; i <= 3; ++i) {
    *frame.add_commands() = ConnectTo(listener.address());
    frame.mutable_commands(static_cast<int>(i) - 1)->set_request_id(i);
  }
  stream_->Deliver(std::move(frame));
  ASSERT_TRUE(RunUntil([&] {
    return stream_->FindReply(1) != nullptr && stream_->FindReply(2) != nullptr && stream_->FindReply(3) != nullptr;
  }));
  EXPECT_TRUE(stream_->FindReply(1)->has_create_connection());
  EXPECT_TRUE(stream_->FindReply(2)->has_create_connection());
  EXPECT_EQ(stream_->FindReply(3)->error().reason(), "TOO_MANY_TRANSPORTS");
}

TEST_F(SessionTest, LongFrameGivesWayToOthersAndKeepsItsOrder) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  v1::SessionRequest frame;
  std::string expected;
  for (int i = 0; i < 50000; ++i) {
    v1::Command& command = *frame.add_commands();
    command.set_transport_id(id);
    command.set_write(std::string(1, static_cast<char>('a' + i % 26)));
    expected += command.write();
  }
  stream_->Deliver(std::move(frame));
  EXPECT_FALSE(stream_->read_asked()) << "50,000 writes in one turn";
  int turns = 0;
  ASSERT_TRUE(RunUntil([&] {
    ++turns;
    peer.Poll();
    return peer.received().size() == expected.size();
  }));
  EXPECT_EQ(peer.received(), expected);
  EXPECT_GT(turns, 2);
  ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
}

// --- Transports ------------------------------------------------------------------------------------------------------

TEST_F(SessionTest, ConnectionMadeComesBeforeTheReplyAndDataAfterIt) {
  RawListener listener;
  StartOpen();
  v1::Command command = ConnectTo(listener.address());
  command.set_request_id(5);
  stream_->Deliver(command);
  RawPeer peer;
  ASSERT_TRUE(RunUntil([&] {
    if (!peer.valid()) peer = listener.TryAccept();
    return peer.valid();
  }));
  peer.Send("hello");
  ASSERT_TRUE(RunUntil([&] { return !stream_->Data(1).empty(); }));
  const std::vector<v1::Callback>& callbacks = stream_->callbacks();
  ASSERT_GE(callbacks.size(), 3u);
  EXPECT_EQ(callbacks[0].transport_id(), 1u);
  EXPECT_EQ(callbacks[0].connection_made().request_id(), 5u);
  EXPECT_EQ(callbacks[0].connection_made().extra_info().peername().port(), listener.address().port);
  EXPECT_EQ(callbacks[1].reply().request_id(), 5u);
  EXPECT_EQ(callbacks[1].reply().create_connection().transport_id(), 1u);
  EXPECT_EQ(callbacks[2].data_received(), "hello");
}

TEST_F(SessionTest, WritesReachThePeerAndProgressTellsSo) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  Write(id, "abc");
  Write(id, "def");
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return peer.received() == "abcdef";
  }));
  ASSERT_TRUE(RunUntil([&] {
    const v1::Callback& last = stream_->callbacks().back();
    return last.transport_id() == id && last.write_progress() == 6;
  }));
}

TEST_F(SessionTest, EachFrameTellsWhetherAllIsWritten) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  v1::Command command;
  command.mutable_get_state()->set_transport_id(id);
  Write(id, "little");
  Ask(command, 1);
  EXPECT_TRUE(stream_->all_written());
  EXPECT_EQ(stream_->acknowledged_sequence(), 4u);
  // The peer does not read, and the kernel does not take it all.
  Write(id, std::string(32 << 20, 'x'));
  peer.Send("something");
  ASSERT_TRUE(RunUntil([&] { return stream_->Data(id) == "something"; }));
  EXPECT_FALSE(stream_->all_written());
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return stream_->all_written();
  }));
  EXPECT_EQ(peer.received().size(), 6 + (size_t{32} << 20));
}

TEST_F(SessionTest, EofIsOnlyToldAndTheOtherDirectionGoesOn) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  peer.Send("question");
  peer.ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return stream_->callbacks().back().has_eof_received(); }));
  EXPECT_EQ(stream_->Data(id), "question");
  Write(id, "answer");
  v1::Command command;
  command.mutable_close()->set_transport_id(id);
  Ask(command, 1);
  ASSERT_TRUE(RunUntil([&] { return stream_->FindLost(id) != nullptr; }));
  EXPECT_EQ(stream_->FindLost(id)->cause(), v1::END_CAUSE_EOF);
  EXPECT_FALSE(stream_->FindLost(id)->has_error());
  EXPECT_EQ(stream_->FindLost(id)->received_bytes(), 8u);
  EXPECT_EQ(stream_->FindLost(id)->sent_bytes(), 6u);
  ASSERT_TRUE(peer.RecvToEof());
  EXPECT_EQ(peer.received(), "answer");
}

TEST_F(SessionTest, CloseOnEofClosesByItself) {
  RawListener listener;
  StartOpen();
  v1::Command command = ConnectTo(listener.address());
  command.mutable_create_connection()->set_close_on_eof(true);
  const uint32_t id = Ask(command, 1)->create_connection().transport_id();
  RawPeer peer = listener.Accept();
  peer.ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return stream_->FindLost(id) != nullptr; }));
  EXPECT_EQ(stream_->FindLost(id)->cause(), v1::END_CAUSE_EOF);
}

TEST_F(SessionTest, ServerAcceptsAndItsTransportsNameIt) {
  StartOpen();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  const v1::CreateServerResponse server = Ask(command, 1)->create_server();
  ASSERT_EQ(server.sockets_size(), 1);
  RawPeer peer = RawPeer::Connect(AddressOf(server));
  ASSERT_TRUE(peer.valid());
  ASSERT_TRUE(RunUntil([&] { return stream_->callbacks().back().has_connection_made(); }));
  EXPECT_EQ(stream_->callbacks().back().connection_made().server_id(), server.server_id());
  const uint32_t id = stream_->callbacks().back().transport_id();

  command.mutable_server_close()->set_server_id(server.server_id());
  EXPECT_TRUE(Ask(command, 2)->has_server_close());
  // The server is closed, and waits for its transport.
  v1::Command wait;
  wait.set_request_id(3);
  wait.mutable_wait_closed()->set_server_id(server.server_id());
  stream_->Deliver(wait);
  command.mutable_close_clients()->set_server_id(server.server_id());
  EXPECT_EQ(Ask(command, 4)->close_clients().closed_count(), 1u);
  ASSERT_TRUE(RunUntil([&] { return stream_->FindReply(3) != nullptr; }));
  EXPECT_TRUE(stream_->FindReply(3)->has_wait_closed());
  EXPECT_NE(stream_->FindLost(id), nullptr);
  // All is gone; asking again is answered all the same.
  EXPECT_TRUE(Ask(wait, 5)->has_wait_closed());
}

TEST_F(SessionTest, AcceptedConnectionWithoutRoomIsReset) {
  limits_.max_transport_count = 2;
  StartOpen();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  const v1::CreateServerResponse server = Ask(command, 1)->create_server();
  const SocketAddress address = AddressOf(server);
  RawPeer first = RawPeer::Connect(address);
  ASSERT_TRUE(RunUntil([&] { return stream_->callbacks().back().has_connection_made(); }));
  RawPeer second = RawPeer::Connect(address);
  ASSERT_TRUE(RunUntil([&] { return stream_->callbacks().back().has_call_exception_handler(); }));
  EXPECT_EQ(stream_->callbacks().back().call_exception_handler().error().reason(), "TOO_MANY_TRANSPORTS");
  EXPECT_EQ(stream_->callbacks().back().transport_id(), server.server_id());
  EXPECT_TRUE(RunUntil([&] {
    second.Poll();
    return second.error_number() == ECONNRESET;
  }));
  EXPECT_EQ(Ask(ConnectTo(address), 2)->error().reason(), "TOO_MANY_TRANSPORTS");
}

// --- Flow control ----------------------------------------------------------------------------------------------------

TEST_F(SessionTest, SpentWindowStopsOneTransportAndNoOther) {
  limits_.receive_window_bytes = 64 * 1024;
  RawListener listener;
  StartOpen();
  const uint32_t slow = Connect(listener.address());
  RawPeer slow_peer = listener.Accept();
  const uint32_t fast = Connect(listener.address());
  RawPeer fast_peer = listener.Accept();
  const std::string block(1 << 16, 'x');
  uint64_t offered_bytes = 0;
  // More than the kernel's buffers and the window together: the peer must be pushed back.
  ASSERT_TRUE(RunUntil([&] {
    const size_t sent_bytes = slow_peer.TrySend(block);
    offered_bytes += sent_bytes;
    return sent_bytes == 0 && stream_->Data(slow).size() > limits_.receive_window_bytes * 3 / 4;
  }));
  EXPECT_LE(stream_->Data(slow).size() + stream_->DataCount(slow) * limits_.callback_charge_bytes,
            limits_.receive_window_bytes);
  EXPECT_GT(offered_bytes, limits_.receive_window_bytes);

  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(fast_peer.Send("ping"));
    const size_t expected_bytes = 4 * static_cast<size_t>(i + 1);
    ASSERT_TRUE(RunUntil([&] { return stream_->Data(fast).size() == expected_bytes; }));
  }

  // What is consumed is refilled, and not a byte is lost.
  ASSERT_TRUE(RunUntil([&] {
    if (stream_->read_asked()) Acknowledge(slow);
    return stream_->Data(slow).size() == offered_bytes;
  }));
}

TEST_F(SessionTest, SmallCallbacksSpendTheWindowToo) {
  limits_.receive_window_bytes = 4096;
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  // One byte weighs 65: the window is spent long before 4096 of them.
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(peer.Send("x"));
    for (int turn = 0; turn < 3; ++turn) loop_->reactor().RunOnce(std::chrono::milliseconds(1));
  }
  EXPECT_LT(stream_->DataCount(id), 64u);
  EXPECT_GT(stream_->DataCount(id), 8u);
}

TEST_F(SessionTest, PlainSessionCountsWhatTheStreamTookAsConsumed) {
  limits_.receive_window_bytes = 16 * 1024;
  RawListener listener;
  StartOpen(/*acknowledged=*/false);
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  const std::string block(1 << 16, 'x');
  uint64_t offered_bytes = 0;
  ASSERT_TRUE(RunUntil([&] {
    if (offered_bytes < 1 << 20) offered_bytes += peer.TrySend(block);
    return stream_->Data(id).size() >= 1 << 20;
  }));
}

TEST_F(SessionTest, PlainSessionStopsReadingWhileTheStreamTakesNothing) {
  limits_.receive_window_bytes = 16 * 1024;
  RawListener listener;
  StartOpen(/*acknowledged=*/false, /*takes_frames=*/false);
  stream_->FrameSent();
  v1::Command command = ConnectTo(listener.address());
  command.set_request_id(1);
  stream_->Deliver(command);
  ASSERT_TRUE(RunUntil([&] { return stream_->sending(); }));
  RawPeer peer = listener.Accept();
  const std::string block(1 << 16, 'x');
  ASSERT_TRUE(RunUntil([&] { return peer.TrySend(block) == 0; }));
  for (int i = 0; i < 20; ++i) loop_->reactor().RunOnce(std::chrono::milliseconds(1));
  EXPECT_LE(session_->outbox().size_bytes(), limits_.receive_window_bytes + 4096);
  session_->OnLost();
}

TEST_F(SessionTest, WriterWithoutEndIsHeldUp) {
  limits_.send_window_bytes = 64 * 1024;
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  const std::string block(64 * 1024, 'x');
  uint64_t sent_bytes = 0;
  bool held_up = false;
  for (int i = 0; i < 1000 && !held_up; ++i) {
    for (int turn = 0; turn < 20 && !stream_->read_asked(); ++turn) loop_->reactor().RunOnce(Duration{0});
    held_up = !stream_->read_asked();
    if (held_up) break;
    Write(id, block);
    sent_bytes += block.size();
  }
  EXPECT_TRUE(held_up);
  v1::SessionInfo info;
  session_->Describe(info);
  EXPECT_LE(info.write_buffer_size_bytes(), limits_.send_window_bytes + block.size() * 2);
  // The peer reads, and the session goes on.
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return stream_->read_asked() && peer.received().size() == sent_bytes;
  }));
}

TEST_F(SessionTest, WriteAndDrainAnswersWhenTheBufferIsLow) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  v1::Command command;
  command.mutable_write_and_drain()->set_transport_id(id);
  command.mutable_write_and_drain()->set_data("small");
  EXPECT_TRUE(Ask(command, 1)->has_write_and_drain());
  command.mutable_write_and_drain()->set_data(std::string(32 << 20, 'x'));
  command.set_request_id(2);
  stream_->Deliver(command);
  for (int i = 0; i < 10; ++i) loop_->reactor().RunOnce(Duration{0});
  EXPECT_EQ(stream_->FindReply(2), nullptr);
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return stream_->FindReply(2) != nullptr;
  }));
  EXPECT_LE(stream_->FindReply(2)->write_and_drain().write_buffer_size_bytes(), 64u * 1024);
  EXPECT_GT(peer.received().size(), 20u << 20);
}

TEST_F(SessionTest, AcknowledgingDataThatWasNotSentEndsTheStream) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  v1::SessionRequest request;
  request.add_acknowledgements()->set_transport_id(id);
  request.mutable_acknowledgements(0)->set_data_bytes(1);
  stream_->Deliver(std::move(request));
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "BAD_FRAME");
}

TEST_F(SessionTest, ClientThatOnlyAsksIsHeldUpWhenItDoesNotRead) {
  limits_.session_receive_window_bytes = 64 * 1024;
  StartOpen(/*acknowledged=*/true, /*takes_frames=*/false);
  v1::SessionRequest frame;
  for (uint32_t i = 1; i <= 100; ++i) {
    frame.add_commands()->set_request_id(i);
  }
  int frames = 0;
  while (frames < 10000) {
    for (int turn = 0; turn < 3 && !stream_->read_asked(); ++turn) loop_->reactor().RunOnce(Duration{0});
    if (!stream_->read_asked()) break;
    stream_->Deliver(frame);
    ++frames;
  }
  EXPECT_LT(frames, 100);
  EXPECT_LE(session_->outbox().size_bytes(), limits_.session_receive_window_bytes + 64 * 1024);
  session_->OnLost();
}

// --- Ending ----------------------------------------------------------------------------------------------------------

TEST_F(SessionTest, DrainingIsToldOnce) {
  StartOpen();
  session_->Drain(std::chrono::seconds(30));
  session_->Drain(std::chrono::seconds(10));
  ASSERT_TRUE(RunUntil([&] { return !stream_->callbacks().empty(); }));
  Ask(v1::Command(), 1);  // Behind all that was said.
  ASSERT_EQ(stream_->callbacks().size(), 2u);
  ASSERT_TRUE(stream_->callbacks()[0].has_draining());
  EXPECT_GT(stream_->callbacks()[0].draining().time_left().seconds(), 10);
}

TEST_F(SessionTest, DrainingIsToldBehindOpen) {
  Start();
  session_->Drain(std::chrono::seconds(-1));
  stream_->Deliver(OpenFrame(/*acknowledged=*/true));
  ASSERT_TRUE(RunUntil([&] { return !stream_->callbacks().empty(); }));
  EXPECT_TRUE(stream_->opened().has_value());
  ASSERT_TRUE(stream_->callbacks()[0].has_draining());
  EXPECT_EQ(stream_->callbacks()[0].draining().time_left().seconds(), 0);
  EXPECT_EQ(stream_->callbacks()[0].draining().time_left().nanos(), 0);
}

TEST_F(SessionTest, HalfCloseEndsInOrder) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  stream_->HalfClose();
  ExpectStreamEnds(absl::StatusCode::kOk, "");
  ASSERT_NE(stream_->FindLost(id), nullptr);
  EXPECT_EQ(stream_->FindLost(id)->cause(), v1::END_CAUSE_LOCAL_ABORT);
  EXPECT_TRUE(peer.RecvToEof());
}

TEST_F(SessionTest, LostStreamAbortsEverything) {
  RawListener listener;
  StartOpen();
  Connect(listener.address());
  RawPeer peer = listener.Accept();
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  const v1::CreateServerResponse server = Ask(command, 1)->create_server();
  command = ConnectTo(listener.address());
  command.set_request_id(2);
  stream_->Deliver(command);  // Still under way when the stream is lost.
  stream_->Lose();
  EXPECT_TRUE(RunUntil([&] { return ended_; }));
  EXPECT_TRUE(peer.RecvToEof());
  EXPECT_FALSE(RawPeer::Connect(AddressOf(server)).valid());
}

TEST_F(SessionTest, StoppingServiceIsTheCauseOfEveryLoss) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  session_->End(MakeError(absl::StatusCode::kUnavailable, "SERVICE_STOPPING", "the service is stopping"),
                EndCause::kServiceStopping);
  ExpectStreamEnds(absl::StatusCode::kUnavailable, "SERVICE_STOPPING");
  ASSERT_NE(stream_->FindLost(id), nullptr);
  EXPECT_EQ(stream_->FindLost(id)->cause(), v1::END_CAUSE_SERVICE_STOPPING);
  EXPECT_EQ(stream_->FindLost(id)->error().reason(), "SERVICE_STOPPING");
}

// --- The unary door --------------------------------------------------------------------------------------------------

class UnarySessionTest : public SessionTest {
 protected:
  void StartUnary(int lease_seconds = 60) {
    Make(/*streaming=*/false);
    v1::Open open;
    open.set_revision(1);
    open.mutable_lease()->set_seconds(lease_seconds);
    ASSERT_TRUE(session_->StartUnary(open).ok());
  }
  v1::Reply Run(const v1::Command& command) {
    std::optional<v1::Reply> reply;
    session_->Execute(command, [&](v1::Reply answer) { reply = std::move(answer); });
    EXPECT_TRUE(RunUntil([&] { return reply.has_value(); }));
    return *reply;
  }
};

TEST_F(UnarySessionTest, CallbacksThatCameBeforeTheStreamAreKept) {
  RawListener listener;
  StartUnary();
  EXPECT_EQ(Run(ConnectTo(listener.address())).create_connection().transport_id(), 1u);
  stream_ = std::make_shared<MemoryFrameStream>();
  session_->AttachCallbacks(stream_);
  ASSERT_TRUE(RunUntil([&] { return stream_->opened().has_value(); }));
  ASSERT_EQ(stream_->callbacks().size(), 1u);
  EXPECT_TRUE(stream_->callbacks()[0].has_connection_made());
  const auto second = std::make_shared<MemoryFrameStream>();
  session_->AttachCallbacks(second);
  ASSERT_TRUE(second->finished().has_value());
  EXPECT_EQ(ToTransportError(*second->finished()).reason, "CALLBACKS_ATTACHED");
}

TEST_F(UnarySessionTest, ConcurrentWritesBeyondTheWindowAreRefused) {
  RawListener listener;
  StartUnary();
  const uint32_t id = Run(ConnectTo(listener.address())).create_connection().transport_id();
  RawPeer peer = listener.Accept();
  v1::Command command;
  command.mutable_write_and_drain()->set_transport_id(id);
  command.mutable_write_and_drain()->set_data(std::string(4 << 20, 'x'));
  // Those that are not refused are answered when the session ends.
  const auto full = std::make_shared<int>(0);
  for (int i = 0; i < 4; ++i) {
    session_->Execute(command,
                      [full](const v1::Reply& reply) { *full += reply.error().reason() == "WRITE_BUFFER_FULL"; });
  }
  EXPECT_GE(*full, 2);
  v1::SessionInfo info;
  session_->Describe(info);
  EXPECT_LT(info.write_buffer_size_bytes(), 9u << 20);
}

TEST_F(UnarySessionTest, LeaseWaitsForTheAnswer) {
  StartUnary(/*lease_seconds=*/1);
  v1::Command command;
  command.mutable_create_server()->add_hosts("127.0.0.1");
  v1::Command wait;
  wait.mutable_wait_closed()->set_server_id(Run(command).create_server().server_id());
  bool answered = false;
  const uint64_t number = session_->Execute(wait, [&](const v1::Reply&) { answered = true; });
  bool later = false;
  loop_->CallLater(std::chrono::milliseconds(1500), [&] { later = true; });
  ASSERT_TRUE(RunUntil([&] { return later; }));
  EXPECT_FALSE(ended_) << "the lease ran out under a call";
  session_->Cancel(number);
  EXPECT_TRUE(answered);
  EXPECT_TRUE(RunUntil([&] { return ended_; }));
}

TEST_F(UnarySessionTest, UnreadCallbacksAreBoundedAndCounted) {
  limits_.session_receive_window_bytes = 4096;
  RawListener listener(AddressFamily::kInet, 1024);
  StartUnary();
  v1::Reply reply;
  int rounds = 0;
  for (; rounds < 1000 && !reply.has_error(); ++rounds) {
    reply = Run(ConnectTo(listener.address()));
    v1::Command abort;
    abort.mutable_abort()->set_transport_id(reply.create_connection().transport_id());
    if (!reply.has_error()) Run(abort);
  }
  EXPECT_EQ(reply.error().reason(), "CALLBACKS_UNREAD");
  EXPECT_GT(rounds, 5);
  EXPECT_LE(session_->outbox().size_bytes(), 2 * limits_.session_receive_window_bytes);
  v1::SessionInfo info;
  session_->Describe(info);
  EXPECT_EQ(info.unacknowledged_bytes(), session_->outbox().size_bytes());
}

TEST_F(UnarySessionTest, LeaseRunsOut) {
  StartUnary(/*lease_seconds=*/1);
  EXPECT_TRUE(RunUntil([&] { return ended_; }));
}

TEST_F(UnarySessionTest, LostCallbacksStreamLeavesTheSession) {
  RawListener listener;
  StartUnary();
  stream_ = std::make_shared<MemoryFrameStream>();
  session_->AttachCallbacks(stream_);
  ASSERT_TRUE(RunUntil([&] { return stream_->opened().has_value(); }));
  stream_->Lose();
  EXPECT_EQ(Run(ConnectTo(listener.address())).create_connection().transport_id(), 1u);
  const auto again = std::make_shared<MemoryFrameStream>();
  session_->AttachCallbacks(again);
  EXPECT_TRUE(RunUntil([&] { return session_->outbox().empty(); }));
  stream_ = again;
}

TEST_F(UnarySessionTest, WhoComesWhenItHasEndedIsAnswered) {
  StartUnary();
  bool first = false;
  session_->End(absl::OkStatus(), std::nullopt, [this, &first] {
    first = true;
    EXPECT_TRUE(ended_) << "it can still be found";
  });
  EXPECT_TRUE(RunUntil([&] { return first; }));
  bool second = false;
  session_->End(absl::OkStatus(), std::nullopt, [&second] { second = true; });
  EXPECT_TRUE(second);
  stream_ = std::make_shared<MemoryFrameStream>();
  session_->AttachCallbacks(stream_);
  ASSERT_TRUE(stream_->finished().has_value());
  EXPECT_EQ(ToTransportError(*stream_->finished()).reason, "UNKNOWN_SESSION");
}

}  // namespace
}  // namespace transportd
