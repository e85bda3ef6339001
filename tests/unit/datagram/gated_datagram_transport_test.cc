// A datagram transport whose gate is asked for what it sends and receives.
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/raw_datagram_peer.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/datagram/datagram_fixture.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class GatedDatagramTest : public DatagramFixture {
 protected:
  void OpenGated(AddressFamily family, EndpointEnds ends) {
    ends.gate = gate_;
    Open(family, std::move(ends));
  }
  static std::string Send(const SocketAddress& address) { return "send " + address.ToString(); }
  static std::string Receive(const SocketAddress& address) { return "receive " + address.ToString(); }

  const std::shared_ptr<FakeGate> gate_ = std::make_shared<FakeGate>();
};

// Sending.

TEST_F(GatedDatagramTest, DestinationIsAskedAboutOnceUntilItChanges) {
  OpenGated(AddressFamily::kInet, {});
  RawDatagramPeer first = RawDatagramPeer::OnLoopback(), second = RawDatagramPeer::OnLoopback();
  const SocketAddress a = first.address(), b = second.address();
  for (const SocketAddress* to : {&a, &a, &b, &b, &a}) ASSERT_THAT(transport_->SendTo("x", to), IsOk());
  EXPECT_THAT(gate_->asked(), ElementsAre(Send(a), Send(b), Send(a)));
  EXPECT_EQ(transport_->GetCounts().sent_count, 5u);
}

TEST_F(GatedDatagramTest, NewGenerationIsAskedAgain) {
  OpenGated(AddressFamily::kInet, {});
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  const SocketAddress to = peer.address();
  ASSERT_THAT(transport_->SendTo("1", &to), IsOk());
  gate_->Refuse("send");
  ASSERT_THAT(transport_->SendTo("2", &to), IsOk());
  gate_->generation = 7;
  ASSERT_THAT(transport_->SendTo("3", &to), IsOk());
  ASSERT_THAT(transport_->SendTo("4", &to), IsOk());
  Turn(2);
  EXPECT_EQ(transport_->GetCounts().sent_count, 2u);
  EXPECT_EQ(record_.errors.size(), 2u);
  EXPECT_THAT(gate_->asked(), ElementsAre(Send(to), Send(to), Send(to))) << "what is refused is asked each time";
}

TEST_F(GatedDatagramTest, RefusedDatagramIsToldDroppedAndCountedAndOthersGo) {
  OpenGated(AddressFamily::kInet, {});
  RawDatagramPeer denied = RawDatagramPeer::OnLoopback(), allowed = RawDatagramPeer::OnLoopback();
  const SocketAddress no = denied.address(), yes = allowed.address();
  gate_->Refuse(Send(no));
  const OutgoingDatagram datagrams[] = {{"1", &yes}, {"22", &no}, {"3", &yes}};
  ASSERT_THAT(transport_->SendMany(datagrams), IsOk());
  EXPECT_THAT(record_.events, IsEmpty()) << "not inside sendto";
  ASSERT_TRUE(RunUntil([&] { return record_.errors.size() == 1; }));
  EXPECT_THAT(record_.errors[0], HasReason("POLICY_DENIED"));
  EXPECT_FALSE(transport_->IsClosing());
  EXPECT_EQ(transport_->GetCounts().sent_count, 2u);
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 1u);
  EXPECT_EQ(transport_->GetCounts().dropped_sent_bytes, 2u);
  EXPECT_EQ(allowed.Receive()->data, "1");
  EXPECT_EQ(allowed.Receive()->data, "3");
  EXPECT_FALSE(denied.TryReceive().has_value());
}

TEST_F(GatedDatagramTest, GateIsToldWhatTheKernelGets) {
  OpenGated(AddressFamily::kInet6, {});
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback(AddressFamily::kInet6);
  SocketAddress to = peer.address();
  to.host = "0:0:0:0:0:0:0:1";
  ASSERT_THAT(transport_->SendTo("x", &to), IsOk());
  to.host = "::1";
  ASSERT_THAT(transport_->SendTo("x", &to), IsOk());
  EXPECT_THAT(gate_->asked(), ElementsAre(Send(peer.address())));
}

TEST_F(GatedDatagramTest, RemoteThatIsNotConnectedIsAskedAbout) {
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  OpenGated(AddressFamily::kInet, {.remote = peer.address(), .connected = false});
  ASSERT_THAT(transport_->SendTo("x"), IsOk());
  EXPECT_THAT(gate_->asked(), ElementsAre(Send(peer.address())));
}

TEST_F(GatedDatagramTest, ConnectedEndpointIsNotAskedAgain) {
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  OpenGated(AddressFamily::kInet, {.remote = peer.address()});
  ASSERT_THAT(transport_->SendTo("x"), IsOk());
  ASSERT_TRUE(peer.SendTo(Sockname(), "y"));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 1; }));
  EXPECT_THAT(gate_->asked(), IsEmpty());
}

TEST_F(GatedDatagramTest, WhatIsRefusedMeanwhileDoesNotLeaveTheQueue) {
  RawDatagramPeer full = RawDatagramPeer::OnPath(AbstractName("full"));
  const SocketAddress to = full.address();
  OpenGated(AddressFamily::kUnix, {});
  while (transport_->GetWriteBufferSize() == 0) ASSERT_THAT(transport_->SendTo("f", &to), IsOk());
  ASSERT_THAT(transport_->SendTo("last", &to), IsOk());
  gate_->Refuse("send");
  ++gate_->generation;
  size_t received_count = 0;
  ASSERT_TRUE(RunUntil([&] {
    while (full.TryReceive()) ++received_count;
    return transport_->GetWriteBufferSize() == 0;
  }));
  while (full.TryReceive()) ++received_count;
  EXPECT_EQ(record_.errors.size(), 2u);
  EXPECT_THAT(record_.errors.back(), HasReason("POLICY_DENIED"));
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 2u);
  EXPECT_EQ(received_count, transport_->GetCounts().sent_count);
}

// Receiving.

TEST_F(GatedDatagramTest, SenderIsAskedAboutOnceUntilItChanges) {
  OpenGated(AddressFamily::kInet, {.local = Loopback(AddressFamily::kInet)});
  RawDatagramPeer a = RawDatagramPeer::OnLoopback(), b = RawDatagramPeer::OnLoopback();
  for (RawDatagramPeer* peer : {&a, &a, &b, &b, &a}) ASSERT_TRUE(peer->SendTo(Sockname(), "x"));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 5; }));
  EXPECT_THAT(gate_->asked(), ElementsAre(Receive(a.address()), Receive(b.address()), Receive(a.address())));
}

TEST_F(GatedDatagramTest, RefusedSendersDatagramsAreDroppedAndCounted) {
  OpenGated(AddressFamily::kInet, {.local = Loopback(AddressFamily::kInet)});
  RawDatagramPeer denied = RawDatagramPeer::OnLoopback(), allowed = RawDatagramPeer::OnLoopback();
  gate_->Refuse(Receive(denied.address()));
  ASSERT_TRUE(denied.SendTo(Sockname(), "1"));
  ASSERT_TRUE(denied.SendTo(Sockname(), "2"));
  ASSERT_TRUE(allowed.SendTo(Sockname(), "3"));
  ASSERT_TRUE(RunUntil([&] { return !record_.received.empty(); }));
  EXPECT_THAT(record_.received, ElementsAre("3"));
  EXPECT_THAT(record_.events, ElementsAre("datagram")) << "nobody is told";
  EXPECT_EQ(transport_->GetCounts().dropped_received_count, 2u);
  EXPECT_EQ(transport_->GetCounts().received_count, 1u);
  EXPECT_THAT(gate_->asked(),
              ElementsAre(Receive(denied.address()), Receive(denied.address()), Receive(allowed.address())));
}

TEST_F(GatedDatagramTest, NewGenerationIsAskedAgainForASender) {
  OpenGated(AddressFamily::kInet, {.local = Loopback(AddressFamily::kInet)});
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  ASSERT_TRUE(peer.SendTo(Sockname(), "1"));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 1; }));
  gate_->Refuse("receive");
  ++gate_->generation;
  ASSERT_TRUE(peer.SendTo(Sockname(), "2"));
  ASSERT_TRUE(RunUntil([&] { return transport_->GetCounts().dropped_received_count == 1; }));
  EXPECT_THAT(record_.received, ElementsAre("1"));
}

TEST_F(GatedDatagramTest, BoundEndpointIsAskedEvenWhenConnected) {
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  gate_->Refuse("receive");
  OpenGated(AddressFamily::kInet, {.local = Loopback(AddressFamily::kInet), .remote = peer.address()});
  ASSERT_TRUE(peer.SendTo(Sockname(), "x"));
  ASSERT_TRUE(RunUntil([&] { return transport_->GetCounts().dropped_received_count == 1; }));
}

TEST_F(GatedDatagramTest, EndpointThatIsNeitherBoundNorConnectedIsAsked) {
  OpenGated(AddressFamily::kInet, {});
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  const SocketAddress to = peer.address();
  ASSERT_THAT(transport_->SendTo("x", &to), IsOk());
  const auto datagram = peer.Receive();
  ASSERT_TRUE(datagram.has_value());
  ASSERT_TRUE(peer.SendTo(datagram->sender, "y"));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 1; }));
  EXPECT_THAT(gate_->asked(), ElementsAre(Send(to), Receive(to)));
}

TEST_F(GatedDatagramTest, UnnamedSenderIsAnEmptyUnixAddress) {
  OpenGated(AddressFamily::kUnix, {.local = UnixAddress(AbstractName("here"))});
  RawDatagramPeer unnamed = RawDatagramPeer::OnPath("");
  ASSERT_TRUE(unnamed.SendTo(Sockname(), "1"));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 1; }));
  EXPECT_THAT(gate_->asked(), ElementsAre("receive (unnamed)"));
}

// Without symbolic links.

TEST_F(GatedDatagramTest, DatagramsGoToThePathItselfOnly) {
  const TempDir directory;
  RawDatagramPeer peer = RawDatagramPeer::OnPath(directory.Path("peer"));
  RawDatagramPeer other = RawDatagramPeer::OnPath(directory.Path("other"));
  ASSERT_EQ(::symlink("peer", directory.Path("to_peer").c_str()), 0);
  ASSERT_EQ(::symlink(".", directory.Path("link").c_str()), 0);
  directory.WriteFile("file", "");
  gate_->forbids_symlinks = true;
  OpenGated(AddressFamily::kUnix, {});
  const auto at = [&](const char* name) { return UnixAddress(directory.Path(name)); };
  const SocketAddress good = at("peer"), good_too = at("other"), link = at("to_peer"), behind = at("link/peer"),
                      file = at("file"), abstract = UnixAddress(AbstractName("nobody"));
  const OutgoingDatagram datagrams[] = {{"1", &good},   {"2", &good},     {"3", &link}, {"4", &good_too},
                                        {"5", &behind}, {"6", &abstract}, {"7", &file}, {"8", &good}};
  ASSERT_THAT(transport_->SendMany(datagrams), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record_.errors.size() == 4; }));
  EXPECT_THAT(record_.errors, ElementsAre(HasReason("ELOOP"), HasReason("ELOOP"), HasReason("ECONNREFUSED"),
                                          HasReason("ECONNREFUSED")));
  EXPECT_EQ(ToTransportError(record_.errors[0]).address, directory.Path("to_peer"));
  for (const char* expected : {"1", "2", "8"}) EXPECT_EQ(peer.Receive()->data, expected);
  EXPECT_EQ(other.Receive()->data, "4");
  EXPECT_EQ(transport_->GetCounts().sent_count, 4u);
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 4u);
  EXPECT_THAT(gate_->asked(), testing::Contains(Send(good)));
}

TEST_F(GatedDatagramTest, FullReceiverOfAPathIsTriedAgain) {
  const TempDir directory;
  RawDatagramPeer peer = RawDatagramPeer::OnPath(directory.Path("peer"));
  const SocketAddress to = peer.address();
  gate_->forbids_symlinks = true;
  OpenGated(AddressFamily::kUnix, {});
  while (transport_->GetWriteBufferSize() == 0) ASSERT_THAT(transport_->SendTo("f", &to), IsOk());
  ASSERT_THAT(transport_->SendTo("last", &to), IsOk());
  std::string last;
  ASSERT_TRUE(RunUntil([&] {
    while (const auto datagram = peer.TryReceive()) last = datagram->data;
    return last == "last";
  }));
  EXPECT_THAT(record_.errors, IsEmpty());
  EXPECT_THAT(gate_->asked(), ElementsAre(Send(to)));
}

}  // namespace
}  // namespace transportd
