// UDP: two endpoints of the loop under test, or one and nobody.
#include "transports/api/datagram.h"

#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/conformance/scenarios/scenarios.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

std::string ReasonOf(const absl::Status& status) { return status.ok() ? "None" : ToTransportError(status).reason; }

// Traces every callback. Threading: loop thread only.
class TracingDatagrams final : public DatagramProtocol {
 public:
  TracingDatagrams(Stage& stage, std::string name)
      : stage_(stage), name_(std::move(name)), trace_(stage.NewTrace(name_)) {}

  DatagramTransport& transport() { return *transport_; }
  size_t received_count() const { return received_count_; }
  size_t error_count() const { return error_count_; }
  bool lost() const { return end_.has_value(); }
  const DatagramEnd& end() const { return *end_; }
  SocketAddress sockname() const { return *transport_->GetExtraInfo().sockname; }

  void Note(std::string line) { trace_.Add(std::move(line)); }
  void NoteState() { Note(StrCat("state is_closing=", transport_->IsClosing() ? "True" : "False")); }
  void SendTo(std::string_view data, const SocketAddress* address = nullptr) {
    if (const absl::Status status = transport_->SendTo(data, address); !status.ok()) Note("sendto " + ReasonOf(status));
  }
  // Sends back what comes.
  bool echoes = false;
  std::function<void()> on_received;

  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override {
    transport_ = std::move(transport);
    const ExtraInfo& info = transport_->GetExtraInfo();
    stage_.NamePort(info.sockname->port, name_);
    Note(StrCat("connection_made peername=", stage_.AddressText(info.peername),
                " sockname=", stage_.AddressText(info.sockname)));
    stage_.Changed();
  }
  void DatagramReceived(std::string_view data, const SocketAddress* address) override {
    ++received_count_;
    Note(StrCat("datagram_received ", DataText(data), " from ",
                stage_.AddressText(address == nullptr ? std::nullopt : std::optional<SocketAddress>(*address))));
    if (echoes) SendTo(data, address);
    if (on_received) on_received();
    stage_.Changed();
  }
  void ErrorReceived(const absl::Status& status) override {
    ++error_count_;
    Note("error_received " + ReasonOf(status));
    stage_.Changed();
  }
  void ConnectionLost(const DatagramEnd& end) override {
    end_ = end;
    Note("connection_lost " + ReasonOf(end.status));
    stage_.Changed();
  }

 private:
  Stage& stage_;
  const std::string name_;
  Trace& trace_;
  std::shared_ptr<DatagramTransport> transport_;
  size_t received_count_ = 0;
  size_t error_count_ = 0;
  std::optional<DatagramEnd> end_;
};

std::shared_ptr<TracingDatagrams> Create(Stage& s, const std::string& name, CreateDatagramEndpointOptions options) {
  auto protocol = std::make_shared<TracingDatagrams>(s, name);
  bool done = false;
  s.loop().CreateDatagramEndpoint([protocol] { return protocol; }, std::move(options),
                                  [&](const absl::StatusOr<DatagramEndpoint>& endpoint) {
                                    done = true;
                                    protocol->Note("create_datagram_endpoint " + ReasonOf(endpoint.status()));
                                    s.Changed();
                                  });
  s.Until([&] { return done; });
  return protocol;
}

std::shared_ptr<TracingDatagrams> Bound(Stage& s, const std::string& name) {
  CreateDatagramEndpointOptions options;
  options.local = HostPort{.host = s.host(), .port = 0};
  return Create(s, name, std::move(options));
}

std::shared_ptr<TracingDatagrams> ConnectedTo(Stage& s, const std::string& name, uint16_t port) {
  CreateDatagramEndpointOptions options;
  options.remote = HostPort{.host = s.host(), .port = port};
  return Create(s, name, std::move(options));
}

void Close(Stage& s, TracingDatagrams& protocol) {
  protocol.transport().Close();
  s.Until([&] { return protocol.lost(); });
}

void DatagramEcho(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  server->echoes = true;
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  for (const char* data : {"hello", "world", "!"}) client->SendTo(data);
  s.Until([&] { return client->received_count() == 3; });
  client->NoteState();
  Close(s, *client);
  client->NoteState();
  Close(s, *server);
}

void DatagramBoundariesAndOrderAreKept(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  for (const size_t size : {1u, 60000u, 2u, 1200u, 1200u, 1200u, 700u, 3u}) {
    const size_t count = server->received_count();
    client->SendTo(Pattern(size));
    // One after the other: what is under test is order and boundaries, not the size of the kernel's buffer.
    if (size > 10000) s.Until([&] { return server->received_count() > count; });
  }
  s.Until([&] { return server->received_count() == 8; });
  Close(s, *client);
  Close(s, *server);
}

void DatagramConnectedTakesItsOwnAddressOnly(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  SocketAddress address = server->sockname();
  client->SendTo("same", &address);
  s.Until([&] { return server->received_count() == 1; });
  ++address.port;
  client->SendTo("other", &address);
  client->NoteState();
  Close(s, *client);
  Close(s, *server);
}

void DatagramRefusedIsToldAndTheEndpointStaysOpen(Stage& s) {
  auto gone = Bound(s, "gone");
  const uint16_t port = gone->sockname().port;
  Close(s, *gone);
  const auto client = ConnectedTo(s, "client", port);
  client->SendTo("x");
  s.Until([&] { return client->error_count() == 1; });
  client->NoteState();
  Close(s, *client);
}

void DatagramTooLongIsToldAndTheNextOneGoes(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  client->SendTo(Pattern(70000));
  client->SendTo("next");
  s.Until([&] { return client->error_count() == 1 && server->received_count() == 1; });
  client->NoteState();
  Close(s, *client);
  Close(s, *server);
}

void DatagramAfterCloseIsDropped(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  client->SendTo("before");
  client->transport().Close();
  client->transport().Close();
  s.Until([&] { return client->lost() && server->received_count() == 1; });
  client->SendTo("after");
  s.Settle();
  server->transport().Abort();
  s.Until([&] { return server->lost(); });
}

void DatagramBindFails(Stage& s) {
  const auto used = Bound(s, "used");
  CreateDatagramEndpointOptions options;
  options.local = HostPort{.host = s.host(), .port = used->sockname().port};
  Create(s, "second", std::move(options));
  Close(s, *used);
}

// Without an oracle: not in 3.11, or asyncio calls the exception handler besides.

void DatagramPausedReadingGetsThemAfterwards(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  server->transport().PauseReading();
  CHECK(!server->transport().IsReading());
  s.Settle();
  for (const char* data : {"1", "2", "3"}) client->SendTo(data);
  s.Settle();
  CHECK_EQ(server->received_count(), 0u);
  server->transport().ResumeReading();
  CHECK_EQ(server->received_count(), 0u);
  s.Until([&] { return server->received_count() == 3; });
  CHECK(server->transport().IsReading());
  Close(s, *client);
  Close(s, *server);
}

void DatagramEmptyIsADatagram(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  server->echoes = true;
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  client->SendTo("");
  client->SendTo("x");
  s.Until([&] { return client->received_count() == 2; });
  Close(s, *client);
  Close(s, *server);
  CHECK_EQ(client->end().counts.sent_count, 2u);
  CHECK_EQ(client->end().counts.received_count, 2u);
  CHECK_EQ(client->end().counts.received_bytes, 1u);
  CHECK_EQ(client->end().counts.dropped_sent_count, 0u);
}

void DatagramWithoutAddressIsFatal(Stage& s) {
  std::vector<std::string> messages;
  s.loop().SetExceptionHandler([&](const ExceptionContext& context) { messages.push_back(context.message); });
  const auto client = Bound(s, "client");
  client->SendTo("x");
  s.Until([&] { return client->lost(); });
  CHECK_EQ(ReasonOf(client->end().status), "INVALID_ADDRESS");
  CHECK_EQ(client->end().counts.dropped_sent_count, 1u);
  CHECK_EQ(messages.size(), 1u);
  CHECK_EQ(messages[0], "Fatal write error on datagram transport");
  s.loop().SetExceptionHandler(nullptr);
}

void DatagramWriteBufferDrains(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  const auto client = ConnectedTo(s, "client", server->sockname().port);
  for (int i = 0; i < 20; ++i) client->SendTo(Pattern(1000));
  // The embedded loop has sent them; the remote one hears when the service has.
  TimerId again = 0;
  std::function<void()> look = [&] {
    s.Changed();
    again = s.loop().CallLater(std::chrono::milliseconds(1), look);
  };
  look();
  s.Until([&] { return client->transport().GetWriteBufferSize() == 0; });
  s.loop().CancelTimer(again);
  Close(s, *client);
  CHECK_EQ(client->end().counts.sent_count, 20u);
  CHECK_EQ(client->end().counts.sent_bytes, 20000u);
  Close(s, *server);
}

void DatagramFamilyAndNoAddress(Stage& s) {
  const auto server = Bound(s, "server_endpoint");
  CreateDatagramEndpointOptions options;
  options.family = s.is_v4() ? AddressFamily::kInet : AddressFamily::kInet6;
  const auto client = Create(s, "client", options);
  const SocketAddress to = server->sockname();
  client->SendTo("hello", &to);
  s.Until([&] { return server->received_count() == 1; });
  Close(s, *client);
  Close(s, *server);
}

void DatagramFlagsAndProtoAreTheLookUps(Stage& s) {
  CreateDatagramEndpointOptions options;
  options.local = HostPort{.host = s.host(), .port = 0};
  options.proto = IPPROTO_UDP;
  Close(s, *Create(s, "udp", options));
  options = {};
  options.remote = HostPort{.host = "a-name.invalid", .port = 7};
  options.flags = AI_NUMERICHOST;
  Create(s, "no_number", options);
}

void DatagramReusePortSharesAPort(Stage& s) {
  CreateDatagramEndpointOptions options;
  options.local = HostPort{.host = s.host(), .port = 0};
  options.reuse_port = true;
  const auto first = Create(s, "first", options);
  options.local->port = first->sockname().port;
  const auto second = Create(s, "second", options);
  options.reuse_port = false;
  Create(s, "third", options);
  Close(s, *first);
  Close(s, *second);
}

void DatagramAllowBroadcast(Stage& s) {
  for (const bool allow_broadcast : {false, true}) {
    CreateDatagramEndpointOptions options;
    options.local = HostPort{.host = "127.0.0.1", .port = 0};
    options.allow_broadcast = allow_broadcast;
    const auto client = Create(s, allow_broadcast ? "allowed" : "not_allowed", options);
    client->Note("SO_BROADCAST " + OptionText(s, client->transport(), SocketOption::kSoBroadcast));
    SocketAddress everyone = client->sockname();
    everyone.host = "127.255.255.255";
    client->SendTo("hello", &everyone);
    if (!allow_broadcast) s.Until([&] { return client->error_count() == 1; });
    Close(s, *client);
  }
}

// Python sets IP_ADD_MEMBERSHIP on the socket itself, which a client of the service does not have.
void DatagramMulticastMembersReceive(Stage& s) {
  if (!s.is_v4()) return;  // Loopback has no route for IPv6's groups: tests/unit/datagram does that.
  CreateDatagramEndpointOptions options;
  options.local = HostPort{.host = "0.0.0.0", .port = 0};
  const auto member = Create(s, "member", options);
  DatagramTransport& transport = member->transport();
  const MulticastGroup group{.address = "239.255.77.78", .interface_index = ::if_nametoindex("lo")};
  std::vector<absl::Status> results;
  const auto note = [&](absl::Status status) {
    results.push_back(std::move(status));
    s.Changed();
  };
  transport.JoinGroup(group, note);
  transport.Setsockopt(SocketOption::kIpMulticastIf, static_cast<int>(group.interface_index), note);
  s.Until([&] { return results.size() == 2; });
  SocketAddress to = member->sockname();
  to.host = group.address;
  member->SendTo("to the group", &to);
  s.Until([&] { return member->received_count() == 1; });
  transport.LeaveGroup(group, note);
  s.Until([&] { return results.size() == 3; });
  member->SendTo("to nobody", &to);
  SocketAddress self = member->sockname();
  self.host = "127.0.0.1";
  member->SendTo("end", &self);
  s.Until([&] { return member->received_count() == 2; });
  Close(s, *member);
  for (const absl::Status& result : results) CHECK(result.ok());
  // What the group got while it was left did not come.
  CHECK_EQ(member->end().counts.received_bytes, 15u);
}

void DatagramUnixSocketsAndUnnamedSenders(Stage& s) {
  CreateDatagramEndpointOptions options;
  options.local_path = StrCat(std::string_view("\0", 1), "transportd-conformance-", ::getpid());
  const auto server = Create(s, "server_endpoint", options);
  CreateDatagramEndpointOptions to_server;
  to_server.remote_path = options.local_path;
  const auto client = Create(s, "client", to_server);
  client->SendTo("unnamed");
  client->SendTo(Pattern(100000));
  s.Until([&] { return server->received_count() == 2; });
  CHECK(client->transport().RemoteAddress().has_value());
  CHECK_EQ(client->transport().RemoteAddress()->path, *options.local_path);
  Close(s, *client);
  Close(s, *server);
  CHECK_EQ(server->end().counts.received_bytes, 100007u);
}

}  // namespace

void AddDatagramScenarios(Scenarios& scenarios) {
  scenarios.insert(
      scenarios.end(),
      {
          {"datagram_echo", DatagramEcho},
          {"datagram_boundaries_and_order_are_kept", DatagramBoundariesAndOrderAreKept},
          {"datagram_connected_takes_its_own_address_only", DatagramConnectedTakesItsOwnAddressOnly},
          {"datagram_refused_is_told_and_the_endpoint_stays_open", DatagramRefusedIsToldAndTheEndpointStaysOpen},
          {"datagram_too_long_is_told_and_the_next_one_goes", DatagramTooLongIsToldAndTheNextOneGoes},
          {"datagram_paused_reading_gets_them_afterwards", DatagramPausedReadingGetsThemAfterwards,
           /*has_oracle=*/false},
          {"datagram_after_close_is_dropped", DatagramAfterCloseIsDropped},
          {"datagram_bind_fails", DatagramBindFails},
          {"datagram_empty_is_a_datagram", DatagramEmptyIsADatagram, /*has_oracle=*/false},
          {"datagram_without_address_is_fatal", DatagramWithoutAddressIsFatal, /*has_oracle=*/false},
          {"datagram_write_buffer_drains", DatagramWriteBufferDrains, /*has_oracle=*/false},
          {"datagram_family_and_no_address", DatagramFamilyAndNoAddress},
          {"datagram_flags_and_proto_are_the_look_ups", DatagramFlagsAndProtoAreTheLookUps},
          {"datagram_reuse_port_shares_a_port", DatagramReusePortSharesAPort},
          {"datagram_allow_broadcast", DatagramAllowBroadcast},
          {"datagram_multicast_members_receive", DatagramMulticastMembersReceive, /*has_oracle=*/false},
          {"datagram_unix_sockets_and_unnamed_senders", DatagramUnixSocketsAndUnnamedSenders, /*has_oracle=*/false},
      });
}

}  // namespace transportd::conformance
