// Servers: accepting, closing, and who waits for that.
#include "clients/cpp/remote_server.h"

#include "tests/support/status_matchers.h"
#include "tests/unit/remote/scripted_service.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Server 5, whose protocols are in `protocols`. Threading: the test's.
class RemoteServerTest : public ScriptedService {
 protected:
  OperationId Ask(CreateServerOptions options = {}) {
    return loop->CreateServer(
        [this] {
          protocols.push_back(std::make_shared<Recorder>(events));
          return protocols.back();
        },
        std::move(options),
        [this](absl::StatusOr<std::shared_ptr<Server>> made) {
          events.push_back(made.ok() ? "serving" : "failed " + ToTransportError(made.status()).reason);
          if (made.ok()) server = *std::move(made);
        });
  }

  static v1::Callback Listening(uint32_t request_id) {
    v1::Callback callback = ReplyTo(request_id);
    v1::CreateServerResponse& response = *callback.mutable_reply()->mutable_create_server();
    response.set_server_id(5);
    v1::SocketAddress& address = *response.add_sockets();
    address.set_family(v1::ADDRESS_FAMILY_INET);
    address.set_host("127.0.0.1");
    address.set_port(4711);
    return callback;
  }

  uint32_t TakeRequestId() {
    Turn();
    return TakeCommands().back().request_id();
  }

  void Listen() {
    Ask();
    Send({Listening(TakeRequestId())});
    ASSERT_NE(server, nullptr);
    events.clear();
  }

  std::shared_ptr<Server> server;
  std::vector<std::shared_ptr<Recorder>> protocols;
};

TEST_F(RemoteServerTest, AcceptsWhatFollowsTheReplyInTheSameFrame) {
  Ask();
  Send({Listening(TakeRequestId()), Made(8, 0, 5), Data(8, "hello")});
  EXPECT_THAT(events, ElementsAre("serving", "made", "data hello"));
  EXPECT_TRUE(server->IsServing());
  ASSERT_THAT(server->Sockets(), SizeIs(1));
  EXPECT_EQ(server->Sockets()[0].ToString(), "127.0.0.1:4711");
  EXPECT_EQ(loop->GetCounts().servers, 1u);
}

TEST_F(RemoteServerTest, CarriesEveryOption) {
  CreateServerOptions options;
  options.hosts = {"::1", ""};
  options.port = 0;
  options.flags = 0;
  options.backlog = 7;
  options.reuse_address = false;
  options.reuse_port = true;
  options.keep_alive = true;
  options.start_serving = false;
  Ask(options);
  Turn();
  const v1::CreateServerRequest request = TakeCommands().back().create_server();
  EXPECT_THAT(request.hosts(), ElementsAre("::1", ""));
  EXPECT_TRUE(request.has_port());
  EXPECT_TRUE(request.has_flags());
  EXPECT_EQ(request.backlog(), 7u);
  EXPECT_FALSE(request.reuse_address());
  EXPECT_TRUE(request.reuse_port());
  EXPECT_TRUE(request.keep_alive());
  EXPECT_FALSE(request.start_serving());
}

TEST_F(RemoteServerTest, EveryConnectionGetsAProtocolOfItsOwn) {
  Listen();
  Send({Made(8, 0, 5), Made(9, 0, 5), Data(9, "nine"), Lost(9, v1::END_CAUSE_RESET), Data(8, "eight")});
  EXPECT_THAT(events, ElementsAre("made", "made", "data nine", "lost RESET", "data eight"));
  EXPECT_THAT(protocols, SizeIs(2));
}

TEST_F(RemoteServerTest, ClosedServerRefusesWhatWasAcceptedMeanwhile) {
  Listen();
  bool closed = false;
  server->Close([&] { closed = true; });
  server->Close();
  EXPECT_FALSE(server->IsServing());
  EXPECT_THAT(server->Sockets(), IsEmpty());
  Turn();
  const auto commands = TakeCommands();
  EXPECT_THAT(Describe(commands), ElementsAre("server_close 5"));
  Send({Made(8, 0, 5)});
  EXPECT_THAT(events, IsEmpty());
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("abort 8 reset"));
  EXPECT_FALSE(closed);
  Send({ReplyTo(commands[0].request_id()), Lost(8, v1::END_CAUSE_LOCAL_ABORT)});
  EXPECT_TRUE(closed);
  EXPECT_EQ(loop->GetCounts().servers, 0u);
  closed = false;
  server->Close([&] { closed = true; });
  EXPECT_TRUE(closed);
}

TEST_F(RemoteServerTest, WaitClosedWaitsForTheLastConnectionLost) {
  Listen();
  Send({Made(8, 0, 5)});
  bool ended = false;
  server->WaitClosed([&] { ended = true; });
  server->Close();
  Turn();
  Send({ReplyTo(TakeCommands().back().request_id())});
  EXPECT_FALSE(ended);
  // Held back from a paused protocol, the loss is not over yet.
  protocols[0]->transport->PauseReading();
  Send({Lost(8, v1::END_CAUSE_RESET)});
  EXPECT_FALSE(ended);
  protocols[0]->transport->ResumeReading();
  Turn();
  EXPECT_TRUE(ended);
  EXPECT_EQ(events.back(), "lost RESET");
  bool again = false;
  server->WaitClosed([&] { again = true; });
  EXPECT_TRUE(again);
}

TEST_F(RemoteServerTest, CloseClientsAndAbortClientsReachWhatIsOpen) {
  Listen();
  Send({Made(8, 0, 5), Made(9, 0, 5)});
  protocols[0]->transport->Close();
  size_t count = 99;
  server->CloseClients([&](size_t closed) { count = closed; });
  EXPECT_EQ(count, 1u);
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("close 8", "close 9"));
  Send({Lost(8, v1::END_CAUSE_LOCAL_CLOSE), Lost(9, v1::END_CAUSE_LOCAL_CLOSE), Made(10, 0, 5)});
  server->AbortClients([&](size_t aborted) { count = aborted; });
  EXPECT_EQ(count, 1u);
  Turn();
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("abort 10"));
}

TEST_F(RemoteServerTest, StartServingIsAskedOfTheService) {
  CreateServerOptions options;
  options.start_serving = false;
  Ask(options);
  Send({Listening(TakeRequestId())});
  EXPECT_FALSE(server->IsServing());
  absl::Status status = absl::UnknownError("not called");
  server->StartServing([&](absl::Status done) { status = std::move(done); });
  Send({ReplyTo(TakeRequestId())});
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(server->IsServing());
  server->Close();
  server->StartServing([&](absl::Status done) { status = std::move(done); });
  EXPECT_THAT(status, HasReason("SERVER_CLOSED"));
}

TEST_F(RemoteServerTest, CancelledServerIsClosedWhenItComesAnyway) {
  const OperationId operation = Ask();
  const uint32_t request_id = TakeRequestId();
  loop->CancelOperation(operation);
  Send({Listening(request_id), Made(8, 0, 5)});
  EXPECT_THAT(events, ElementsAre("failed CANCELLED"));
  EXPECT_THAT(Describe(TakeCommands()), ElementsAre("cancel", "server_close 5", "abort 8 reset"));
}

TEST_F(RemoteServerTest, LostSessionEndsTheServer) {
  Listen();
  Send({Made(8, 0, 5)});
  bool closed = false;
  bool ended = false;
  server->WaitClosed([&] { ended = true; });
  server->Close([&] { closed = true; });
  CloseStream(absl::UnavailableError("gone"));
  EXPECT_TRUE(closed);
  EXPECT_TRUE(ended);
  EXPECT_EQ(events.back(), "lost SESSION_LOST");
  EXPECT_THAT(server->Sockets(), IsEmpty());
  EXPECT_EQ(loop->GetCounts().servers, 0u);
}

TEST_F(RemoteServerTest, SocketOptionsAreAskedOfTheService) {
  Listen();
  absl::Status status;
  server->Setsockopt(SocketOption::kSoReuseaddr, 1, [&](absl::Status done) { status = std::move(done); });
  Turn();
  const v1::Command command = TakeCommands().back();
  EXPECT_EQ(command.setsockopt().transport_id(), 5u);
  v1::Callback reply = ReplyTo(command.request_id());
  reply.mutable_reply()->mutable_error()->set_code(3);
  reply.mutable_reply()->mutable_error()->set_reason("INVALID_OPTION_VALUE");
  Send({reply});
  EXPECT_THAT(status, HasReason("INVALID_OPTION_VALUE"));
}

}  // namespace
}  // namespace transportd
