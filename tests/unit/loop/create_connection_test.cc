#include <netdb.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/loop/event_loop_fixture.h"
#include "tests/unit/tcp/full_listener.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::IsEmpty;

using CreateConnectionTest = EventLoopFixture;

class CreateConnectionFamilyTest : public EventLoopFixture, public testing::WithParamInterface<AddressFamily> {};
INSTANTIATE_TEST_SUITE_P(, CreateConnectionFamilyTest, testing::Values(AddressFamily::kInet, AddressFamily::kInet6),
                         [](const auto& parameter) {
                           return parameter.param == AddressFamily::kInet ? "Inet" : "Inet6";
                         });

TEST_P(CreateConnectionFamilyTest, MadeThenDoneThenData) {
  RawListener listener(GetParam());
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(listener.address()));
  EXPECT_FALSE(outcome.done());
  RawPeer peer;
  ASSERT_TRUE(RunUntil([&] {
    peer = listener.TryAccept();
    return peer.valid();
  }));
  ASSERT_TRUE(peer.Send("early"));
  ASSERT_TRUE(RunUntil([&] { return !record.received.empty(); }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "data"));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(outcome.value().transport, record.transport);
  EXPECT_EQ(outcome.value().transport->GetProtocol(), outcome.value().protocol);
  EXPECT_EQ(record.transport->GetExtraInfo().peername, listener.address());
  EXPECT_EQ(record.transport->GetExtraInfo().sockname->family, GetParam());
}

TEST_P(CreateConnectionFamilyTest, RefusedSaysWhere) {
  const SocketAddress refused = RefusedAddress(GetParam());
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(refused));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("ECONNREFUSED"));
  const TransportError error = ToTransportError(outcome.status());
  EXPECT_EQ(error.errno_number, ECONNREFUSED);
  EXPECT_EQ(error.operation, "connect");
  EXPECT_EQ(error.address, refused.ToString());
  EXPECT_THAT(record.events, ElementsAre("done")) << "no protocol is made";
}

TEST_F(CreateConnectionTest, SetsTcpNodelay) {
  RawListener listener;
  const auto transport = Open(NewRecord(), listener.address());
  int value = 0;
  transport->Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> result) { value = *result; });
  EXPECT_EQ(value, 1);
}

TEST_F(CreateConnectionTest, TakesTheWatermarksAskedFor) {
  RawListener listener;
  CreateConnectionOptions options = To(listener.address());
  options.write_buffer_limits.high_bytes = 400;
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_EQ(record.transport->GetWriteBufferLimits(), (WriteBufferMarks{.high_bytes = 400, .low_bytes = 100}));
}

TEST_F(CreateConnectionTest, BadArgumentsFailInALaterTurnWithoutResolving) {
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  CreateConnectionOptions options;
  options.remote = {.host = "127.0.0.1", .port = 70000};
  Connect(outcome, record, std::move(options));
  EXPECT_FALSE(outcome.done());
  Turn();
  EXPECT_THAT(outcome.status(), AllOf(HasReason("INVALID_PORT"), HasField("remote.port")));
  EXPECT_THAT(resolver_.requests(), IsEmpty());
}

TEST_F(CreateConnectionTest, PassesTheRequestToTheResolver) {
  RawListener listener;
  resolver_.SetHosts("", {"127.0.0.1"});
  CreateConnectionOptions options;
  options.remote.port = listener.address().port;
  options.family = AddressFamily::kInet;
  options.flags = AI_ADDRCONFIG;
  options.proto = 6;
  Outcome<Connection> outcome;
  Connect(outcome, NewRecord(), std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), IsOk());
  ASSERT_EQ(resolver_.requests().size(), 1u);
  const ResolveRequest request = resolver_.requests()[0];
  EXPECT_EQ(request.address.host, std::nullopt) << "no host is getaddrinfo's NULL: loopback";
  EXPECT_EQ(request.address.port, listener.address().port);
  EXPECT_EQ(request.family, AddressFamily::kInet);
  EXPECT_EQ(request.flags, AI_ADDRCONFIG);
  EXPECT_EQ(request.proto, 6);
}

TEST_F(CreateConnectionTest, UnknownNameIsTheResolversError) {
  CreateConnectionOptions options;
  options.remote = {.host = "nobody", .port = 1};
  Outcome<Connection> outcome;
  Connect(outcome, NewRecord(), std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("EAI_NONAME"));
}

TEST_F(CreateConnectionTest, SeveralFailuresAreEachACause) {
  const SocketAddress refused = RefusedAddress();
  resolver_.SetHosts("many", {"127.0.0.1", "255.255.255.255"});
  CreateConnectionOptions options;
  options.remote = {.host = "many", .port = refused.port};
  Outcome<Connection> outcome;
  Connect(outcome, NewRecord(), std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("MULTIPLE_ERRORS"));
  const TransportError error = ToTransportError(outcome.status());
  ASSERT_EQ(error.causes.size(), 2u);
  EXPECT_EQ(error.causes[0].reason, "ECONNREFUSED");
  EXPECT_EQ(error.causes[1].reason, "ENETUNREACH");
}

TEST_F(CreateConnectionTest, HappyEyeballsInterleavesTheFamilies) {
  const SocketAddress refused = RefusedAddress();
  resolver_.SetHosts("many", {"127.0.0.1", "127.0.0.2", "::1"});
  const auto tried = [&](std::optional<Duration> delay, std::optional<uint32_t> interleave) {
    CreateConnectionOptions options;
    options.remote = {.host = "many", .port = refused.port};
    options.happy_eyeballs_delay = delay;
    options.interleave = interleave;
    Outcome<Connection> outcome;
    Connect(outcome, NewRecord(), std::move(options));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    std::vector<std::string> addresses;
    for (const TransportError& cause : ToTransportError(outcome.status()).causes) {
      addresses.push_back(cause.address.substr(0, cause.address.rfind(':')));
    }
    return addresses;
  };
  EXPECT_THAT(tried({}, {}), ElementsAre("127.0.0.1", "127.0.0.2", "[::1]"));
  EXPECT_THAT(tried(seconds(1), {}), ElementsAre("127.0.0.1", "[::1]", "127.0.0.2"));
  EXPECT_THAT(tried(seconds(1), 0), ElementsAre("127.0.0.1", "127.0.0.2", "[::1]"));
  EXPECT_THAT(tried({}, 1), ElementsAre("127.0.0.1", "[::1]", "127.0.0.2"));
}

TEST_F(CreateConnectionTest, HappyEyeballsLeavesASilentAddressBehind) {
  FullListener silent;
  CreateServerOptions server_options = At({"::1"});
  server_options.port = silent.address().port;
  const auto server = Listen(std::move(server_options));
  ASSERT_NE(server, nullptr);
  resolver_.SetHosts("many", {"127.0.0.1", "::1"});
  CreateConnectionOptions options;
  options.remote = {.host = "many", .port = silent.address().port};
  options.happy_eyeballs_delay = milliseconds(250);
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, std::move(options));
  Turn();
  clock_.Advance(milliseconds(249));
  Turn();
  EXPECT_FALSE(outcome.done());
  clock_.Advance(milliseconds(1));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(record.transport->GetExtraInfo().peername->host, "::1");
}

TEST_F(CreateConnectionTest, BindsTheLocalAddress) {
  RawListener listener;
  resolver_.SetHosts("here", {"::1", "127.0.0.5"});
  CreateConnectionOptions options = To(listener.address());
  options.local = HostPort{.host = "here", .port = {}};
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(record.transport->GetExtraInfo().sockname->host, "127.0.0.5");
}

TEST_F(CreateConnectionTest, LocalNameThatDoesNotResolveFails) {
  RawListener listener;
  CreateConnectionOptions options = To(listener.address());
  options.local = HostPort{.host = "nobody", .port = {}};
  Outcome<Connection> outcome;
  Connect(outcome, NewRecord(), std::move(options));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("EAI_NONAME"));
  EXPECT_FALSE(listener.TryAccept().valid());
}

// Timeout.

TEST_F(CreateConnectionTest, TimesOutWhileItConnects) {
  FullListener silent;
  CreateConnectionOptions options = To(silent.address());
  options.timeout = seconds(5);
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, std::move(options));
  Turn();
  clock_.Advance(milliseconds(4999));
  Turn();
  EXPECT_FALSE(outcome.done());
  clock_.Advance(milliseconds(1));
  Turn();
  EXPECT_THAT(outcome.status(), AllOf(StatusIs(absl::StatusCode::kDeadlineExceeded), HasReason("CONNECT_TIMEOUT")));
  EXPECT_THAT(record.events, ElementsAre("done"));
}

TEST_F(CreateConnectionTest, TimesOutWhileItResolvesAfterTheDefaultTime) {
  resolver_.Hold();
  CreateConnectionOptions options;
  options.remote = {.host = "127.0.0.1", .port = 1};
  Outcome<Connection> outcome;
  Connect(outcome, NewRecord(), std::move(options));
  Turn();
  clock_.Advance(seconds(60));
  Turn();
  EXPECT_THAT(outcome.status(), HasReason("CONNECT_TIMEOUT"));
  resolver_.AnswerAll();
  Turn();
  EXPECT_EQ(outcome.done_count, 1);
}

TEST_F(CreateConnectionTest, TimeoutTellsWhatFailedBefore) {
  FullListener silent;
  resolver_.SetHosts("many", {"127.0.0.2", "127.0.0.1"});
  CreateConnectionOptions options;
  options.remote = {.host = "many", .port = silent.address().port};
  options.timeout = seconds(1);
  Outcome<Connection> outcome;
  Connect(outcome, NewRecord(), std::move(options));
  Turn();
  clock_.Advance(seconds(1));
  Turn();
  EXPECT_THAT(outcome.status(), HasReason("CONNECT_TIMEOUT"));
  const TransportError error = ToTransportError(outcome.status());
  ASSERT_EQ(error.causes.size(), 1u);
  EXPECT_EQ(error.causes[0].reason, "ECONNREFUSED");
}

// Cancel.

TEST_F(CreateConnectionTest, CancelWhileItResolves) {
  resolver_.Hold();
  CreateConnectionOptions options;
  options.remote = {.host = "127.0.0.1", .port = 1};
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, std::move(options));
  Turn();
  loop_->CancelOperation(outcome.id);
  EXPECT_FALSE(outcome.done()) << "told in a later turn";
  Turn();
  EXPECT_THAT(outcome.status(), AllOf(StatusIs(absl::StatusCode::kCancelled), HasReason("CANCELLED")));
  EXPECT_EQ(loop_->GetCounts().operations, 0u);
  EXPECT_EQ(loop_->reactor().GetCounts().timers, 0u);
  resolver_.AnswerAll();
  Turn();
  EXPECT_THAT(record.events, ElementsAre("done"));
}

TEST_F(CreateConnectionTest, CancelWhileItConnects) {
  FullListener silent;
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, To(silent.address()));
  Turn();
  loop_->CancelOperation(outcome.id);
  loop_->CancelOperation(outcome.id);
  EXPECT_EQ(loop_->reactor().GetCounts().watches, 0u) << "the socket is closed at once";
  Turn();
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_EQ(outcome.done_count, 1);
  EXPECT_THAT(record.events, ElementsAre("done"));
}

TEST_F(CreateConnectionTest, CancelInsideConnectionMadeAbortsTheTransport) {
  RawListener listener;
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  record.on_made = [&] { loop_->CancelOperation(outcome.id); };
  Connect(outcome, record, To(listener.address()));
  ASSERT_TRUE(RunUntil([&] { return outcome.done() && record.lost(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_EQ(record.events.front(), "made");
  EXPECT_EQ(record.end->cause, EndCause::kLocalAbort);
  EXPECT_EQ(outcome.done_count, 1);
}

TEST_F(CreateConnectionTest, CancelInsideTheFactoryMakesNoTransport) {
  RawListener listener;
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  outcome.id = loop_->CreateConnection(
      [&] {
        loop_->CancelOperation(outcome.id);
        return std::make_shared<RecordingProtocol>(record);
      },
      To(listener.address()),
      [&](absl::StatusOr<Connection> result) {
        ++outcome.done_count;
        outcome.result = std::move(result);
      });
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_THAT(record.events, IsEmpty());
  EXPECT_TRUE(listener.Accept().RecvToEof());
}

TEST_F(CreateConnectionTest, CancelAfterDoneDoesNothing) {
  RawListener listener;
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, To(listener.address()));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  loop_->CancelOperation(outcome.id);
  loop_->CancelOperation(12345);
  Turn();
  EXPECT_EQ(outcome.done_count, 1);
  EXPECT_FALSE(record.lost());
}

// The end of the loop.

TEST_F(CreateConnectionTest, DestroyedLoopTakesUnfinishedOperationsWithIt) {
  FullListener silent;
  Outcome<Connection> connecting, resolving;
  Connect(connecting, NewRecord(), To(silent.address()));
  Turn();
  resolver_.Hold();
  Connect(resolving, NewRecord(), To(silent.address()));
  CloseLoop();
  resolver_.AnswerAll();
  EXPECT_FALSE(connecting.done());
  EXPECT_FALSE(resolving.done());
}

}  // namespace
}  // namespace transportd
