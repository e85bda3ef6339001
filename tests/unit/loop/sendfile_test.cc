#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/loop/event_loop_fixture.h"

namespace transportd {
namespace {

using testing::AllOf;

class LoopSendfileTest : public EventLoopFixture {
 protected:
  Outcome<uint64_t> Send(std::shared_ptr<Transport> transport, SendfileOptions options) {
    Outcome<uint64_t> outcome;
    loop_->Sendfile(std::move(transport), std::move(options), Settled(outcome));
    EXPECT_FALSE(outcome.done()) << "never before it returns";
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome;
  }

  TempDir directory_;
};

TEST_F(LoopSendfileTest, OverTcpAndUnix) {
  RawListener tcp;
  RawListener unix_listener(UnixAddress(directory_.Path("s")));
  const std::string path = directory_.WriteFile("f", "0123456789");
  Record& over_tcp = NewRecord();
  const auto tcp_transport = Open(over_tcp, tcp.address());
  Outcome<Connection> outcome;
  Record& over_unix = NewRecord();
  loop_->CreateUnixConnection(Factory(over_unix), {.path = directory_.Path("s")}, Connected(outcome, over_unix));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  RawPeer tcp_peer = tcp.Accept();
  RawPeer unix_peer = unix_listener.Accept();
  EXPECT_EQ(Send(tcp_transport, {.path = path, .offset_bytes = 2}).value(), 8u);
  EXPECT_EQ(Send(outcome.value().transport, {.path = path, .count_bytes = 3}).value(), 3u);
  EXPECT_TRUE(tcp_peer.RecvAtLeast(8));
  EXPECT_TRUE(unix_peer.RecvAtLeast(3));
  EXPECT_EQ(tcp_peer.received(), "23456789");
  EXPECT_EQ(unix_peer.received(), "012");
  EXPECT_EQ(loop_->GetCounts().operations, 0u);
}

TEST_F(LoopSendfileTest, CanBeCancelled) {
  RawListener listener;
  Record& record = NewRecord();
  const auto transport = Open(record, listener.address());
  Outcome<uint64_t> outcome;
  outcome.id = loop_->Sendfile(transport, {.path = directory_.WriteFile("f", "x")}, Settled(outcome));
  loop_->CancelOperation(outcome.id);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_EQ(outcome.done_count, 1);
}

TEST_F(LoopSendfileTest, WhatIsNoStreamOfThisLoopIsOfTheWrongKind) {
  EXPECT_THAT(Send(nullptr, {.path = "/dev/null"}).status(),
              AllOf(StatusIs(absl::StatusCode::kUnimplemented), HasReason("WRONG_KIND")));
}

TEST_F(LoopSendfileTest, EndOfTheLoopEndsIt) {
  RawListener listener;
  Record& record = NewRecord();
  Outcome<uint64_t> outcome;
  loop_->Sendfile(Open(record, listener.address()), {.path = directory_.WriteFile("f", std::string(10'000'000, 'x'))},
                  Settled(outcome));
  Turn();
  CloseLoop();
  EXPECT_FALSE(outcome.done());
}

TEST_F(LoopSendfileTest, GateIsAskedOnceForTheFile) {
  RawListener listener;
  Record& record = NewRecord();
  const auto transport = Open(record, listener.address());
  RawPeer peer = listener.Accept();
  const auto gate = std::make_shared<FakeGate>();
  const std::string path = directory_.WriteFile("f", std::string(3'000'000, 'x'));
  Outcome<uint64_t> sent;
  loop_->Sendfile(transport, {.path = path, .gate = gate}, Settled(sent));
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return sent.done();
  }));
  EXPECT_THAT(sent.status(), IsOk());
  EXPECT_THAT(gate->asked(), testing::ElementsAre("read " + path));
  gate->Refuse("read");
  EXPECT_THAT(Send(transport, {.path = path, .gate = gate}).status(), HasReason("POLICY_DENIED"));
  EXPECT_FALSE(transport->IsClosing());
}

}  // namespace
}  // namespace transportd
