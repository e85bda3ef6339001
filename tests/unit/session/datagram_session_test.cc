// Datagram endpoints of a session: frames in, sockets, frames out.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/raw_datagram_peer.h"
#include "tests/unit/session/session_fixture.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void Fill(v1::SocketAddress& out, const SocketAddress& address) {
  out.set_host(address.host);
  out.set_port(address.port);
}

SocketAddress FromMessage(const v1::SocketAddress& address) {
  SocketAddress out;
  out.family = address.family() == v1::ADDRESS_FAMILY_INET6 ? AddressFamily::kInet6 : AddressFamily::kInet;
  out.host = address.host();
  out.port = static_cast<uint16_t>(address.port());
  return out;
}

class DatagramSessionTest : public SessionTest {
 protected:
  v1::CreateDatagramEndpointResponse Create(const v1::CreateDatagramEndpointRequest& request) {
    v1::Command command;
    *command.mutable_create_datagram_endpoint() = request;
    const v1::Reply* reply = Ask(std::move(command), ++last_request_id_);
    EXPECT_TRUE(reply->has_create_datagram_endpoint()) << reply->DebugString();
    return reply->create_datagram_endpoint();
  }
  v1::CreateDatagramEndpointResponse CreateConnected() {
    v1::CreateDatagramEndpointRequest request;
    request.mutable_remote()->set_host("127.0.0.1");
    request.mutable_remote()->set_port(peer_.address().port);
    return Create(request);
  }
  v1::CreateDatagramEndpointResponse CreateBound() {
    v1::CreateDatagramEndpointRequest request;
    request.mutable_local()->set_host("127.0.0.1");
    return Create(request);
  }
  v1::Command SendTo(uint32_t id, const std::string& data, const SocketAddress* address = nullptr) {
    v1::Command command;
    command.set_transport_id(id);
    command.mutable_sendto()->set_data(data);
    if (address != nullptr) Fill(*command.mutable_sendto()->mutable_address(), *address);
    return command;
  }
  void Deliver(const std::vector<v1::Command>& commands) {
    v1::SessionRequest request;
    for (const v1::Command& command : commands) *request.add_commands() = command;
    ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
    stream_->Deliver(std::move(request));
  }
  std::vector<v1::Datagram> Datagrams(uint32_t id) const {
    std::vector<v1::Datagram> datagrams;
    for (const v1::Callback& callback : stream_->callbacks()) {
      if (callback.transport_id() == id && callback.has_datagram_received()) {
        datagrams.push_back(callback.datagram_received());
      }
    }
    return datagrams;
  }
  std::vector<std::string> Received(uint32_t id) const {
    std::vector<std::string> received;
    for (const v1::Datagram& datagram : Datagrams(id)) received.push_back(datagram.data());
    return received;
  }
  std::vector<std::string> Errors(uint32_t id) const {
    std::vector<std::string> reasons;
    for (const v1::Callback& callback : stream_->callbacks()) {
      if (callback.transport_id() == id && callback.has_error_received()) {
        reasons.push_back(callback.error_received().error().reason());
      }
    }
    return reasons;
  }
  uint64_t Progress(uint32_t id) const {
    uint64_t progress = 0;
    for (const v1::Callback& callback : stream_->callbacks()) {
      if (callback.transport_id() == id && callback.has_write_progress()) progress = callback.write_progress();
    }
    return progress;
  }
  void AcknowledgeDatagrams(uint32_t id) {
    v1::SessionRequest request;
    v1::Acknowledgement& acknowledgement = *request.add_acknowledgements();
    acknowledgement.set_transport_id(id);
    for (const std::string& data : Received(id)) {
      acknowledgement.set_data_bytes(acknowledgement.data_bytes() + data.size());
      acknowledgement.set_data_count(acknowledgement.data_count() + 1);
    }
    ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
    stream_->Deliver(std::move(request));
  }
  v1::GetStateResponse State(uint32_t id) {
    v1::Command command;
    command.mutable_get_state()->set_transport_id(id);
    return Ask(std::move(command), ++last_request_id_)->get_state();
  }

  RawDatagramPeer peer_ = RawDatagramPeer::OnLoopback();
};

TEST_F(DatagramSessionTest, ConnectionMadeComesBeforeTheReplyAndTellsTheAddresses) {
  StartOpen();
  const v1::CreateDatagramEndpointResponse endpoint = CreateConnected();
  ASSERT_GE(stream_->callbacks().size(), 2u);
  const v1::Callback& made = stream_->callbacks()[0];
  ASSERT_TRUE(made.has_connection_made());
  EXPECT_EQ(made.transport_id(), endpoint.transport_id());
  EXPECT_EQ(made.connection_made().request_id(), last_request_id_);
  EXPECT_EQ(FromMessage(made.connection_made().extra_info().peername()), peer_.address());
  EXPECT_EQ(FromMessage(made.connection_made().remote_address()), peer_.address());
  EXPECT_EQ(FromMessage(endpoint.remote_address()), peer_.address());
  EXPECT_NE(endpoint.extra_info().sockname().port(), 0u);
}

TEST_F(DatagramSessionTest, DatagramsBothWaysWithAddresses) {
  StartOpen();
  const v1::CreateDatagramEndpointResponse endpoint = CreateBound();
  const uint32_t id = endpoint.transport_id();
  const SocketAddress here = FromMessage(endpoint.extra_info().sockname());
  RawDatagramPeer other = RawDatagramPeer::OnLoopback();
  const SocketAddress first = peer_.address();
  const SocketAddress second = other.address();
  const std::string longest(65507, 'l');
  Deliver({SendTo(id, "1", &first), SendTo(id, "", &first), SendTo(id, "2", &second), SendTo(id, longest, &first)});
  for (const std::string& data : {std::string("1"), std::string(), longest}) EXPECT_EQ(peer_.Receive()->data, data);
  EXPECT_EQ(other.Receive()->data, "2");
  ASSERT_TRUE(RunUntil([&] { return Progress(id) == 2 + 65507 + 4 * kDatagramHeaderBytes; }));

  for (const std::string& data : {std::string("a"), std::string(), longest}) ASSERT_TRUE(peer_.SendTo(here, data));
  ASSERT_TRUE(other.SendTo(here, "b"));
  ASSERT_TRUE(RunUntil([&] { return Received(id).size() == 4; }));
  EXPECT_THAT(Received(id), ElementsAre("a", "", longest, "b"));
  EXPECT_EQ(FromMessage(Datagrams(id)[0].address()), first);
  EXPECT_EQ(FromMessage(Datagrams(id)[3].address()), second);
  const v1::GetStateResponse state = State(id);
  EXPECT_EQ(state.datagrams().received_count(), 4u);
  EXPECT_EQ(state.datagrams().sent_count(), 4u);
  EXPECT_EQ(state.received_bytes(), 65509u);
  EXPECT_EQ(state.sent_bytes(), 65509u);
  EXPECT_TRUE(state.is_reading());
  EXPECT_FALSE(state.can_write_eof());
}

TEST_F(DatagramSessionTest, ManySendtosOfAFrameKeepTheirOrderAmongOtherCommands) {
  StartOpen();
  const uint32_t id = CreateConnected().transport_id();
  std::vector<v1::Command> commands;
  std::vector<std::string> expected;
  for (int i = 0; i < 700; ++i) {
    // Runs of equal size, what breaks them, and commands of other transports in between.
    expected.push_back(std::to_string(i % 100 == 50 ? 1000000 + i : 1000 + i));
    commands.push_back(SendTo(id, expected.back()));
    if (i % 150 == 149) {
      commands.emplace_back().mutable_get_state()->set_transport_id(id);
      commands.back().set_request_id(static_cast<uint32_t>(i));
    }
  }
  commands.emplace_back().mutable_close()->set_transport_id(id);
  Deliver(commands);
  std::vector<std::string> received;
  ASSERT_TRUE(RunUntil([&] {
    while (const auto datagram = peer_.TryReceive()) received.push_back(datagram->data);
    return received.size() == expected.size() || stream_->FindLost(id) != nullptr;
  }));
  // What the peer's own buffer had no room for is not the session's loss.
  const v1::ConnectionLost* lost = nullptr;
  ASSERT_TRUE(RunUntil([&] { return (lost = stream_->FindLost(id)) != nullptr; }));
  while (const auto datagram = peer_.TryReceive()) received.push_back(datagram->data);
  EXPECT_EQ(lost->datagrams().sent_count(), 700u);
  auto next = expected.begin();
  for (const std::string& datagram : received) {
    next = std::find(next, expected.end(), datagram);
    ASSERT_NE(next, expected.end()) << datagram << " is out of order, or came twice";
    ++next;
  }
  EXPECT_GT(received.size(), 64u);
  EXPECT_EQ(stream_->FindReply(149)->get_state().datagrams().sent_count(), 150u) << "sent before what follows it";
}

TEST_F(DatagramSessionTest, RefusedAddressesAndRepliesToSendto) {
  StartOpen();
  const uint32_t id = CreateConnected().transport_id();
  SocketAddress other = peer_.address();
  ++other.port;
  EXPECT_EQ(Ask(SendTo(id, "x", &other), 1)->error().reason(), "INVALID_ADDRESS");
  v1::Command far = SendTo(id, "x");
  far.mutable_sendto()->mutable_address()->set_port(65536);
  EXPECT_EQ(Ask(far, 2)->error().reason(), "INVALID_PORT");
  EXPECT_EQ(Ask(SendTo(99, "x"), 3)->error().reason(), "UNKNOWN_TRANSPORT");
  const SocketAddress same = peer_.address();
  EXPECT_EQ(Ask(SendTo(id, "x", &same), 4)->result_case(), v1::Reply::RESULT_NOT_SET);
  EXPECT_EQ(peer_.Receive()->data, "x");
  RawListener listener;
  const uint32_t stream = Connect(listener.address());
  EXPECT_EQ(Ask(SendTo(stream, "x"), 5)->error().reason(), "WRONG_KIND");
  v1::Command write;
  write.set_transport_id(id);
  write.set_write("x");
  EXPECT_EQ(Ask(write, 6)->error().reason(), "WRONG_KIND");
}

TEST_F(DatagramSessionTest, MissingAddressEndsTheEndpointAlone) {
  StartOpen();
  const uint32_t id = CreateBound().transport_id();
  Deliver({SendTo(id, "x"), SendTo(id, "y")});
  ASSERT_TRUE(RunUntil([&] { return stream_->FindLost(id) != nullptr; }));
  EXPECT_EQ(stream_->FindLost(id)->error().reason(), "INVALID_ADDRESS");
  EXPECT_EQ(stream_->FindLost(id)->datagrams().dropped_sent_count(), 2u);
  EXPECT_EQ(stream_->FindLost(id)->dropped_bytes(), 2u);
  EXPECT_FALSE(stream_->finished().has_value());
}

TEST_F(DatagramSessionTest, ErrorsAreToldAndTheEndpointStaysOpen) {
  StartOpen();
  const uint32_t id = CreateBound().transport_id();
  const SocketAddress address = peer_.address();
  SocketAddress name = address;
  name.host = "localhost";
  Deliver({SendTo(id, std::string(65536, 'x'), &address), SendTo(id, "x", &name), SendTo(id, "ok", &address)});
  EXPECT_EQ(peer_.Receive()->data, "ok");
  ASSERT_TRUE(RunUntil([&] { return Errors(id).size() == 2; }));
  EXPECT_THAT(Errors(id), testing::UnorderedElementsAre("EMSGSIZE", "INVALID_HOST"));
  ASSERT_TRUE(RunUntil([&] { return Progress(id) == 65536 + 1 + 2 + 3 * kDatagramHeaderBytes; }))
      << "what was dropped counts as settled";
  EXPECT_FALSE(State(id).is_closing());
}

TEST_F(DatagramSessionTest, BadAddressBytesEndTheStream) {
  StartOpen();
  const uint32_t id = CreateBound().transport_id();
  v1::SessionRequest request;
  *request.add_commands() = SendTo(id, "x");
  request.mutable_commands(0)->mutable_sendto()->mutable_address()->set_host("ab");
  request.set_sequence(3);
  std::string bytes = request.SerializeAsString();
  bytes[bytes.find("ab")] = '\xff';  // Not UTF-8.
  ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
  stream_->Deliver(bytes);
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "BAD_FRAME");
}

TEST_F(DatagramSessionTest, SpentWindowLetsTheKernelDropAndCount) {
  limits_.receive_window_bytes = 8192;
  StartOpen();
  const v1::CreateDatagramEndpointResponse endpoint = CreateBound();
  const uint32_t id = endpoint.transport_id();
  const SocketAddress here = FromMessage(endpoint.extra_info().sockname());
  v1::Command small_buffer;
  small_buffer.mutable_setsockopt()->set_transport_id(id);
  small_buffer.mutable_setsockopt()->set_option(v1::SOCKET_OPTION_SO_RCVBUF);
  small_buffer.mutable_setsockopt()->set_value(16384);
  ASSERT_TRUE(Ask(small_buffer, 1)->has_setsockopt());

  const std::string data(1000, 'd');
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(peer_.SendTo(here, data));
  ASSERT_TRUE(RunUntil([&] { return Received(id).size() >= 6; }));
  const size_t before = Received(id).size();
  EXPECT_LE(before, 8u) << "the window holds no more";
  EXPECT_TRUE(State(id).is_reading()) << "a spent window does not count as paused";
  EXPECT_EQ(Received(id).size(), before);
  const uint64_t dropped_count = State(id).datagrams().dropped_received_count();
  EXPECT_GT(dropped_count, 100u);

  while (Received(id).size() + dropped_count < 200) {
    const size_t count = Received(id).size();
    AcknowledgeDatagrams(id);
    ASSERT_TRUE(RunUntil([&] { return Received(id).size() > count; }));
  }
  v1::Command close;
  close.mutable_close()->set_transport_id(id);
  Deliver({close});
  ASSERT_TRUE(RunUntil([&] { return stream_->FindLost(id) != nullptr; }));
  EXPECT_EQ(stream_->FindLost(id)->datagrams().dropped_received_count(), dropped_count);
  EXPECT_EQ(stream_->FindLost(id)->datagrams().received_count() + dropped_count, 200u);
}

TEST_F(DatagramSessionTest, AcknowledgingMoreThanWasSentEndsTheStream) {
  StartOpen();
  const uint32_t id = CreateBound().transport_id();
  v1::SessionRequest request;
  request.add_acknowledgements()->set_transport_id(id);
  request.mutable_acknowledgements(0)->set_data_count(1);
  ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
  stream_->Deliver(std::move(request));
  ExpectStreamEnds(absl::StatusCode::kInvalidArgument, "BAD_FRAME");
}

TEST_F(DatagramSessionTest, PlainSessionAcknowledgesByDelivery) {
  limits_.receive_window_bytes = 4096;
  StartOpen(/*acknowledged=*/false);
  const v1::CreateDatagramEndpointResponse endpoint = CreateBound();
  const uint32_t id = endpoint.transport_id();
  const SocketAddress here = FromMessage(endpoint.extra_info().sockname());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(peer_.SendTo(here, std::string(i % 3 == 0 ? 0 : 1000, 'd')));
  ASSERT_TRUE(RunUntil([&] { return Received(id).size() == 20; }));
}

TEST_F(DatagramSessionTest, PauseReadingHoldsDatagramsBack) {
  StartOpen();
  const v1::CreateDatagramEndpointResponse endpoint = CreateBound();
  const uint32_t id = endpoint.transport_id();
  v1::Command command;
  command.mutable_pause_reading()->set_transport_id(id);
  ASSERT_TRUE(Ask(command, 1)->has_pause_reading());
  ASSERT_TRUE(peer_.SendTo(FromMessage(endpoint.extra_info().sockname()), "x"));
  EXPECT_FALSE(State(id).is_reading());
  EXPECT_THAT(Received(id), IsEmpty());
  command.mutable_resume_reading()->set_transport_id(id);
  ASSERT_TRUE(Ask(command, 2)->has_resume_reading());
  ASSERT_TRUE(RunUntil([&] { return Received(id).size() == 1; }));
}

TEST_F(DatagramSessionTest, DatagramThatDoesNotFitIntoAFrameIsCounted) {
  limits_.max_server_frame_bytes = 65536;
  StartOpen();
  const v1::CreateDatagramEndpointResponse endpoint = CreateBound();
  const uint32_t id = endpoint.transport_id();
  const SocketAddress here = FromMessage(endpoint.extra_info().sockname());
  ASSERT_TRUE(peer_.SendTo(here, std::string(65507, 'x')));
  ASSERT_TRUE(peer_.SendTo(here, std::string(65300, 'y')));
  ASSERT_TRUE(RunUntil([&] { return Received(id).size() == 1; }));
  EXPECT_EQ(Received(id)[0][0], 'y');
  EXPECT_LE(stream_->largest_frame_bytes(), 65536u);
  const v1::GetStateResponse state = State(id);
  EXPECT_EQ(state.datagrams().received_count(), 1u);
  EXPECT_EQ(state.datagrams().dropped_received_count(), 1u);
}

TEST_F(DatagramSessionTest, UnaryDoorSendsAndCancels) {
  Make(/*streaming=*/false);
  v1::Open open;
  open.set_revision(1);
  ASSERT_THAT(session_->StartUnary(open), IsOk());
  v1::Command create;
  create.mutable_create_datagram_endpoint()->mutable_remote()->set_host("127.0.0.1");
  create.mutable_create_datagram_endpoint()->mutable_remote()->set_port(peer_.address().port);
  uint32_t id = 0;
  session_->Execute(create, [&](const v1::Reply& reply) { id = reply.create_datagram_endpoint().transport_id(); });
  ASSERT_TRUE(RunUntil([&] { return id != 0; }));
  v1::Command send;
  send.mutable_sendto_and_drain()->set_transport_id(id);
  send.mutable_sendto_and_drain()->mutable_datagram()->set_data("unary");
  std::optional<v1::Reply> sent;
  session_->Execute(send, [&](const v1::Reply& reply) { sent = reply; });
  ASSERT_TRUE(RunUntil([&] { return sent.has_value(); }));
  EXPECT_TRUE(sent->has_sendto_and_drain());
  EXPECT_EQ(peer_.Receive()->data, "unary");

  v1::Command join;
  join.mutable_join_group()->set_transport_id(id);
  join.mutable_join_group()->set_address("127.0.0.1");
  std::optional<v1::Reply> joined;
  session_->Execute(join, [&](const v1::Reply& reply) { joined = reply; });
  EXPECT_EQ(joined->error().reason(), "EINVAL");
}

TEST_F(DatagramSessionTest, PolicyIsAskedAboutEachSendtoWithItsAddress) {
  StartOpen();
  const uint32_t id = CreateBound().transport_id();
  authorizer_.refuses = true;
  const SocketAddress address = peer_.address();
  EXPECT_EQ(Ask(SendTo(id, "x", &address), 1)->error().reason(), "POLICY_DENIED");
  EXPECT_THAT(authorizer_.asked, ElementsAre("transportd.v1.DatagramTransport.SendTo"));
  ASSERT_EQ(authorizer_.requests.size(), 1u);
  v1::SendToRequest request;
  ASSERT_TRUE(request.ParseFromString(authorizer_.requests[0]));
  EXPECT_EQ(request.transport_id(), id);
  EXPECT_EQ(request.datagram().address().port(), address.port);
  // Without an address, the one before is not what is asked about.
  EXPECT_EQ(Ask(SendTo(id, "x"), 2)->error().reason(), "POLICY_DENIED");
  ASSERT_TRUE(request.ParseFromString(authorizer_.requests[1]));
  EXPECT_FALSE(request.datagram().has_address());
  authorizer_.refuses = false;
}

TEST_F(DatagramSessionTest, EndOfTheSessionTellsEachEndpoint) {
  StartOpen();
  const uint32_t id = CreateBound().transport_id();
  session_->End(absl::OkStatus(), EndCause::kServiceStopping);
  ASSERT_TRUE(RunUntil([&] { return ended_; }));
  ASSERT_NE(stream_->FindLost(id), nullptr);
  EXPECT_EQ(stream_->FindLost(id)->cause(), v1::END_CAUSE_SERVICE_STOPPING);
}

TEST_F(DatagramSessionTest, OperatorSeesIt) {
  StartOpen();
  CreateConnected();
  std::vector<v1::TransportInfo> infos;
  session_->DescribeTransports(0, 10, infos);
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_EQ(infos[0].kind(), v1::TRANSPORT_KIND_DATAGRAM);
  EXPECT_EQ(FromMessage(infos[0].peername()), peer_.address());
}

}  // namespace
}  // namespace transportd
