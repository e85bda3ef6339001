#include "transports/tcp/connector.h"

#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_gate.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/raw_peer.h"
#include "tests/unit/tcp/full_listener.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;

class ConnectorTest : public testing::Test {
 protected:
  ConnectorTest() : reactor_(*Reactor::Create(clock_)) {}
  ~ConnectorTest() override {
    connector_.reset();
    fd_.Reset();
    ExpectNothingLeft(*reactor_);
  }

  void Connect(std::vector<SocketAddress> remotes, std::optional<Duration> delay = {},
               std::optional<std::vector<SocketAddress>> locals = {}) {
    connector_ = std::make_unique<Connector>(
        *reactor_,
        Connector::Options{.remotes = std::move(remotes), .locals = std::move(locals), .delay = delay, .gate = gate_},
        [this](UniqueFd fd, AddressFamily family) {
          ++done_count_;
          family_ = family;
          fd_ = std::move(fd);
        });
    connector_->Start();
  }
  bool RunUntilDone() {
    return RunUntil(*reactor_, [this] { return done_count_ > 0; });
  }
  // Turns without waiting: what could happen at the clock's time has happened.
  void Turn() {
    for (int i = 0; i < 5; ++i) reactor_->RunOnce(Duration::zero());
  }
  SocketAddress Peer() { return *GetPeername(fd_.get()); }
  std::vector<int> Errnos() {
    std::vector<int> result;
    for (const TransportError& error : connector_->Errors()) result.push_back(error.errno_number);
    return result;
  }

  FakeClock clock_;
  SocketGate* gate_ = nullptr;
  const std::unique_ptr<Reactor> reactor_;
  std::unique_ptr<Connector> connector_;
  AddressFamily family_ = AddressFamily::kUnspecified;
  int done_count_ = 0;
  UniqueFd fd_;
};

SocketAddress Unreachable() {
  SocketAddress address;
  address.family = AddressFamily::kInet;
  address.host = "255.255.255.255";  // TCP has no broadcast: ENETUNREACH, whatever the routes.
  address.port = 9;
  return address;
}

TEST_F(ConnectorTest, ConnectsToTheFirst) {
  RawListener first, second;
  Connect({first.address(), second.address()});
  ASSERT_TRUE(RunUntilDone());
  ASSERT_TRUE(fd_.valid());
  EXPECT_EQ(Peer(), first.address());
  EXPECT_FALSE(second.TryAccept().valid());
}

TEST_F(ConnectorTest, TriesTheNextWhenOneIsRefusedOrUnreachable) {
  RawListener last(AddressFamily::kInet6);
  Connect({RefusedAddress(), Unreachable(), last.address()});
  ASSERT_TRUE(RunUntilDone());
  ASSERT_TRUE(fd_.valid());
  EXPECT_EQ(Peer(), last.address());
  EXPECT_THAT(Errnos(), testing::ElementsAre(ECONNREFUSED, ENETUNREACH));
}

TEST_F(ConnectorTest, WithinTheMachineItIsDecidedAtOnce) {
  RawListener listener(AddressFamily::kInet6);
  Connect({RefusedAddress(), listener.address()});
  EXPECT_EQ(done_count_, 1);
  EXPECT_TRUE(fd_.valid());
  EXPECT_EQ(family_, AddressFamily::kInet6);
  EXPECT_THAT(Errnos(), testing::ElementsAre(ECONNREFUSED));
}

TEST_F(ConnectorTest, WhatIsDecidedLaterIsTold) {
  auto silent = std::make_unique<FullListener>();
  Connect({silent->address()});
  EXPECT_EQ(done_count_, 0);
  // The SYN that is sent again after a second finds room.
  const RawPeer filler = silent->Accept();
  ASSERT_TRUE(RunUntilDone());
  EXPECT_TRUE(fd_.valid());
  EXPECT_EQ(family_, AddressFamily::kInet);
}

TEST_F(ConnectorTest, RefusalThatComesLaterIsTold) {
  auto silent = std::make_unique<FullListener>();
  Connect({silent->address()});
  EXPECT_EQ(done_count_, 0);
  silent.reset();
  ASSERT_TRUE(RunUntilDone());
  EXPECT_FALSE(fd_.valid());
  EXPECT_THAT(Errnos(), testing::ElementsAre(ECONNREFUSED));
}

TEST_F(ConnectorTest, TellsEveryErrorInOrderWhenNoneAnswers) {
  const SocketAddress refused4 = RefusedAddress(), refused6 = RefusedAddress(AddressFamily::kInet6);
  Connect({refused6, Unreachable(), refused4});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_FALSE(fd_.valid());
  EXPECT_THAT(Errnos(), testing::ElementsAre(ECONNREFUSED, ENETUNREACH, ECONNREFUSED));
  EXPECT_EQ(connector_->Errors()[0].address, refused6.ToString());
  EXPECT_EQ(connector_->Errors()[0].operation, "connect");
  EXPECT_EQ(done_count_, 1);
}

TEST_F(ConnectorTest, WaitsForTheFirstWithoutADelay) {
  FullListener silent;
  RawListener second;
  Connect({silent.address(), second.address()});
  clock_.Advance(std::chrono::hours(1));
  Turn();
  EXPECT_EQ(done_count_, 0);
  EXPECT_FALSE(second.TryAccept().valid());
}

TEST_F(ConnectorTest, TriesTheNextAfterTheDelayAndNotBefore) {
  FullListener silent;
  RawListener second;
  Connect({silent.address(), second.address()}, milliseconds(250));
  clock_.Advance(milliseconds(249));
  Turn();
  EXPECT_EQ(done_count_, 0);
  EXPECT_FALSE(second.TryAccept().valid());
  clock_.Advance(milliseconds(1));
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(Peer(), second.address());
}

TEST_F(ConnectorTest, FailureBringsTheNextForward) {
  RawListener second;
  Connect({RefusedAddress(), second.address()}, std::chrono::hours(1));
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(Peer(), second.address());
}

TEST_F(ConnectorTest, DelayIsCountedFromTheLatestAttempt) {
  FullListener first, second;
  RawListener third;
  Connect({first.address(), second.address(), third.address()}, milliseconds(100));
  clock_.Advance(milliseconds(100));
  Turn();
  clock_.Advance(milliseconds(99));
  Turn();
  EXPECT_EQ(done_count_, 0);
  clock_.Advance(milliseconds(1));
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(Peer(), third.address());
}

TEST_F(ConnectorTest, DelayOfZeroTriesAllAtOnce) {
  FullListener first, second;
  RawListener third;
  Connect({first.address(), second.address(), third.address()}, Duration::zero());
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(Peer(), third.address());
}

TEST_F(ConnectorTest, CancelLeavesNothingAndCallsNobody) {
  FullListener first, second;
  Connect({first.address(), second.address(), second.address()}, milliseconds(100));
  clock_.Advance(milliseconds(100));
  Turn();
  connector_->Cancel();
  connector_->Cancel();
  ExpectNothingLeft(*reactor_);
  clock_.Advance(milliseconds(100));
  Turn();
  EXPECT_EQ(done_count_, 0);
}

TEST_F(ConnectorTest, BindsTheLocalAddressOfTheRemotesFamily) {
  RawListener listener;
  SocketAddress local = listener.address(), other = local;
  other.family = AddressFamily::kInet6;
  other.host = "::1";
  local.host = "127.0.0.3";
  local.port = other.port = 0;
  Connect({listener.address()}, {}, {{other, local}});
  ASSERT_TRUE(RunUntilDone());
  ASSERT_TRUE(fd_.valid());
  EXPECT_EQ(GetSockname(fd_.get())->host, "127.0.0.3");
}

TEST_F(ConnectorTest, LocalAddressInUseIsTold) {
  RawListener listener, in_use;
  Connect({listener.address()}, {}, {{in_use.address()}});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_FALSE(fd_.valid());
  EXPECT_THAT(Errnos(), testing::ElementsAre(EADDRINUSE));
  EXPECT_EQ(connector_->Errors()[0].operation, "bind");
  EXPECT_EQ(connector_->Errors()[0].address, in_use.address().ToString());
}

TEST_F(ConnectorTest, LocalAddressesAreTriedInTurn) {
  RawListener listener, in_use;
  SocketAddress free = in_use.address();
  free.port = 0;
  Connect({listener.address()}, {}, {{in_use.address(), free}});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_TRUE(fd_.valid());
}

TEST_F(ConnectorTest, NoLocalAddressOfTheFamilyIsAnError) {
  RawListener listener;
  SocketAddress local;
  local.family = AddressFamily::kInet6;
  local.host = "::1";
  Connect({listener.address()}, {}, {{local}});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_FALSE(fd_.valid());
  EXPECT_EQ(connector_->Errors().front().reason, "NO_MATCHING_LOCAL_ADDRESS");
}

// With a gate.

class GatedConnectorTest : public ConnectorTest {
 protected:
  GatedConnectorTest() { ConnectorTest::gate_ = &gate_; }

  static std::string Question(const SocketAddress& remote) { return "connect " + remote.ToString(); }
  std::vector<std::string> Reasons() {
    std::vector<std::string> result;
    for (const TransportError& error : connector_->Errors()) result.push_back(error.reason);
    return result;
  }

  FakeGate gate_;
};

TEST_F(GatedConnectorTest, EachAttemptIsAskedAboutWhenItsTurnHasCome) {
  const SocketAddress refused = RefusedAddress();
  RawListener second, third;
  Connect({refused, second.address(), third.address()});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(Peer(), second.address());
  EXPECT_THAT(gate_.asked(), testing::ElementsAre(Question(refused), Question(second.address())));
}

TEST_F(GatedConnectorTest, WhatIsRefusedIsNotDialledAndTheNextIs) {
  RawListener first, second;
  gate_.Refuse(Question(first.address()));
  Connect({first.address(), second.address()});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(Peer(), second.address());
  EXPECT_FALSE(first.TryAccept().valid());
  EXPECT_THAT(Reasons(), testing::ElementsAre("POLICY_DENIED"));
}

TEST_F(GatedConnectorTest, RefusalIsOneErrorAmongOthersAndHasNoAddress) {
  RawListener listener;
  gate_.Refuse(Question(listener.address()));
  Connect({RefusedAddress(), listener.address()});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_FALSE(fd_.valid());
  EXPECT_THAT(Reasons(), testing::ElementsAre("ECONNREFUSED", "POLICY_DENIED"));
  EXPECT_EQ(connector_->Errors()[1].code, absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(connector_->Errors()[1].message, "denied: decision 7");
  EXPECT_EQ(connector_->Errors()[1].address, "");
}

TEST_F(GatedConnectorTest, RefusalBringsTheNextForwardWhateverTheDelay) {
  FullListener silent;
  RawListener denied, last;
  gate_.Refuse(Question(denied.address()));
  Connect({silent.address(), denied.address(), last.address()}, milliseconds(250));
  EXPECT_THAT(gate_.asked(), testing::ElementsAre(Question(silent.address()))) << "not before its time";
  clock_.Advance(milliseconds(250));
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(Peer(), last.address());
}

TEST_F(GatedConnectorTest, SourceAddressOrPortIsAskedAbout) {
  RawListener listener, in_use;
  SocketAddress source = listener.address();
  source.host = "127.0.0.3";
  source.port = 0;
  Connect({listener.address()}, {}, {{in_use.address(), source}});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_EQ(GetSockname(fd_.get())->host, "127.0.0.3");
  EXPECT_THAT(gate_.asked(), testing::ElementsAre(Question(listener.address()), "bind " + in_use.address().ToString(),
                                                  "bind 127.0.0.3:0"));
}

TEST_F(GatedConnectorTest, SourceThatIsTheKernelsChoiceIsNotAskedAbout) {
  RawListener listener;
  SocketAddress source = listener.address();
  source.host = "0.0.0.0";
  source.port = 0;
  Connect({listener.address()}, {}, {{source}});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_TRUE(fd_.valid());
  EXPECT_THAT(gate_.asked(), testing::ElementsAre(Question(listener.address())));
}

TEST_F(GatedConnectorTest, RefusedSourceIsAnErrorAndNothingIsDialled) {
  RawListener listener;
  SocketAddress source = listener.address();
  source.host = "0.0.0.0";
  source.port = 80;
  gate_.Refuse("bind");
  Connect({listener.address()}, {}, {{source}});
  ASSERT_TRUE(RunUntilDone());
  EXPECT_FALSE(fd_.valid());
  EXPECT_THAT(Reasons(), testing::ElementsAre("POLICY_DENIED"));
  EXPECT_FALSE(listener.TryAccept().valid());
}

}  // namespace
}  // namespace transportd
