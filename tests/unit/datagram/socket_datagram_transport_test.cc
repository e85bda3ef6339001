#include "transports/datagram/socket_datagram_transport.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/datagram/datagram_fixture.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

// UDP of both versions.

class UdpTransportTest : public DatagramFixture, public testing::WithParamInterface<AddressFamily> {
 protected:
  void SetUp() override {
    DatagramFixture::SetUp();
    peer_ = RawDatagramPeer::OnLoopback(GetParam());
    ASSERT_TRUE(peer_->valid());
  }
  void OpenConnected() { Open(GetParam(), {.remote = peer_->address()}); }
  void OpenBound() { Open(GetParam(), {.local = Loopback(GetParam())}); }
  bool Receives(size_t count) {
    return RunUntil([&] { return record_.received.size() >= count; });
  }
};

INSTANTIATE_TEST_SUITE_P(, UdpTransportTest, testing::Values(AddressFamily::kInet, AddressFamily::kInet6),
                         [](const auto& parameter) {
                           return parameter.param == AddressFamily::kInet ? "Inet" : "Inet6";
                         });

TEST_P(UdpTransportTest, ConnectionMadeThenOnReadyThenDatagrams) {
  Make(GetParam(), {.local = Loopback(GetParam())});
  ASSERT_TRUE(peer_->SendTo(Sockname(), "early"));
  transport_->Start([this] { record_.events.push_back("ready"); });
  EXPECT_THAT(record_.events, IsEmpty());
  Turn(1);
  EXPECT_THAT(record_.events, ElementsAre("made"));
  EXPECT_EQ(record_.transport, transport_);
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("made", "ready", "datagram"));
}

TEST_P(UdpTransportTest, ExtraInfoOfAConnectedEndpoint) {
  OpenConnected();
  EXPECT_EQ(transport_->GetExtraInfo().peername, peer_->address());
  EXPECT_NE(Sockname().port, 0);
  EXPECT_EQ(transport_->RemoteAddress(), peer_->address());
  transport_->Close();
  Turn(2);
  EXPECT_EQ(transport_->GetExtraInfo().peername, peer_->address()) << "still there when it is lost";
  EXPECT_EQ(transport_->RemoteAddress(), peer_->address());
}

TEST_P(UdpTransportTest, SentDatagramIsInTheKernelWhenSendToReturns) {
  OpenConnected();
  ASSERT_THAT(transport_->SendTo("hello"), IsOk());
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
  const auto datagram = peer_->TryReceive();
  ASSERT_TRUE(datagram.has_value()) << "without another turn of the loop";
  EXPECT_EQ(datagram->data, "hello");
  EXPECT_EQ(datagram->sender, Sockname());
  EXPECT_EQ(record_.settled_bytes, 5u + kDatagramHeaderBytes);
}

TEST_P(UdpTransportTest, EmptyAndLongestDatagramsBothWays) {
  OpenBound();
  const std::string longest(65507, 'l');
  const SocketAddress address = peer_->address();
  for (const std::string& data : {std::string(), longest, std::string("x")}) {
    ASSERT_THAT(transport_->SendTo(data, &address), IsOk());
    EXPECT_EQ(peer_->Receive()->data, data);
    ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  }
  ASSERT_TRUE(Receives(3));
  EXPECT_THAT(record_.received, ElementsAre("", longest, "x"));
  EXPECT_THAT(record_.senders, Each(std::optional<SocketAddress>(address)));
  const DatagramCounts counts = transport_->GetCounts();
  EXPECT_EQ(counts.received_count, 3u);
  EXPECT_EQ(counts.received_bytes, 65508u);
  EXPECT_EQ(counts.sent_count, 3u);
  EXPECT_EQ(counts.sent_bytes, 65508u);
}

TEST_P(UdpTransportTest, ManyDatagramsKeepOrderAndBoundariesAcrossBatches) {
  OpenBound();
  std::vector<std::string> sent;
  for (int i = 0; i < 100; ++i) sent.push_back(std::to_string(i) + std::string(static_cast<size_t>(i), '.'));
  for (const std::string& data : sent) ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  ASSERT_TRUE(Receives(sent.size()));
  EXPECT_THAT(record_.received, ElementsAreArray(sent));
}

TEST_P(UdpTransportTest, OneTurnTakesABoundedNumberOfDatagrams) {
  OpenBound();
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(peer_->SendTo(Sockname(), "x"));
  size_t most = 0;
  while (record_.received.size() < 150) {
    const size_t before = record_.received.size();
    ASSERT_TRUE(RunUntil([&] { return record_.received.size() > before; }));
    most = std::max(most, record_.received.size() - before);
  }
  EXPECT_LE(most, DatagramSocket::kMaxReceiveCount);
  EXPECT_GT(most, 4u) << "and not one by one";
}

TEST_P(UdpTransportTest, SendersAreToldApart) {
  OpenBound();
  RawDatagramPeer other = RawDatagramPeer::OnLoopback(GetParam());
  ASSERT_TRUE(peer_->SendTo(Sockname(), "1"));
  ASSERT_TRUE(other.SendTo(Sockname(), "2"));
  ASSERT_TRUE(peer_->SendTo(Sockname(), "3"));
  ASSERT_TRUE(Receives(3));
  EXPECT_THAT(record_.senders, ElementsAre(peer_->address(), other.address(), peer_->address()));
}

TEST_P(UdpTransportTest, SendToTakesTheRemoteAddressAndNoOther) {
  OpenConnected();
  SocketAddress address = peer_->address();
  EXPECT_THAT(transport_->SendTo("same", &address), IsOk());
  EXPECT_EQ(peer_->Receive()->data, "same");
  ++address.port;
  EXPECT_THAT(transport_->SendTo("other", &address),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument), HasReason("INVALID_ADDRESS"), HasField("address")));
  Turn(3);
  EXPECT_FALSE(peer_->TryReceive().has_value());
  EXPECT_THAT(record_.events, IsEmpty());
  EXPECT_EQ(transport_->GetCounts().sent_count, 1u);
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 0u);
}

TEST_P(UdpTransportTest, RemoteThatIsNotConnectedIsTheDefault) {
  Open(GetParam(), {.local = Loopback(GetParam()), .remote = peer_->address(), .connected = false});
  EXPECT_FALSE(transport_->GetExtraInfo().peername.has_value());
  EXPECT_THAT(transport_->SendTo("x"), IsOk());
  EXPECT_EQ(peer_->Receive()->data, "x");
  // And what comes from anybody is received.
  RawDatagramPeer other = RawDatagramPeer::OnLoopback(GetParam());
  ASSERT_TRUE(other.SendTo(Sockname(), "y"));
  ASSERT_TRUE(Receives(1));
  EXPECT_EQ(record_.senders[0], other.address());
  const SocketAddress address = other.address();
  EXPECT_THAT(transport_->SendTo("z", &address), HasReason("INVALID_ADDRESS"));
}

TEST_P(UdpTransportTest, SendManyIsSendToForEach) {
  OpenBound();
  RawDatagramPeer other = RawDatagramPeer::OnLoopback(GetParam());
  const SocketAddress first = peer_->address();
  const SocketAddress second = other.address();
  std::vector<std::string> data;
  for (int i = 0; i < 150; ++i) data.push_back(std::string(10, static_cast<char>('a' + i % 26)));
  std::vector<OutgoingDatagram> datagrams;
  for (const std::string& one : data) datagrams.push_back({.data = one, .address = &first});
  datagrams.push_back({.data = "other", .address = &second});
  ASSERT_THAT(transport_->SendMany(datagrams), IsOk());
  for (const std::string& one : data) EXPECT_EQ(peer_->Receive()->data, one);
  EXPECT_EQ(other.Receive()->data, "other");
  EXPECT_EQ(transport_->GetCounts().sent_count, 151u);
  EXPECT_THAT(transport_->SendMany({}), IsOk());
}

TEST_P(UdpTransportTest, SendManyPassesOverTheRefused) {
  OpenConnected();
  const SocketAddress bad = Loopback(GetParam(), 1);
  const OutgoingDatagram datagrams[] = {{.data = "1"}, {.data = "2", .address = &bad}, {.data = "3"}};
  EXPECT_THAT(transport_->SendMany(datagrams), HasReason("INVALID_ADDRESS"));
  EXPECT_EQ(peer_->Receive()->data, "1");
  EXPECT_EQ(peer_->Receive()->data, "3");
}

// Errors.

TEST_P(UdpTransportTest, RefusedDatagramIsToldAndTheEndpointStaysOpen) {
  const SocketAddress refused = RefusedDatagramAddress(GetParam());
  Open(GetParam(), {.remote = refused});
  ASSERT_THAT(transport_->SendTo("x"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return !record_.errors.empty(); }));
  EXPECT_THAT(record_.errors[0], HasReason("ECONNREFUSED"));
  EXPECT_FALSE(transport_->IsClosing());
  EXPECT_EQ(transport_->GetCounts().sent_count, 1u);
  // Two at once: the second one meets what the first one caused.
  ASSERT_THAT(transport_->SendTo("x"), IsOk());
  ASSERT_THAT(transport_->SendTo("x"), IsOk());
  EXPECT_EQ(record_.errors.size(), 1u) << "not inside sendto";
  ASSERT_TRUE(RunUntil([&] { return record_.errors.size() == 2; }));
  EXPECT_THAT(record_.errors[1], HasReason("ECONNREFUSED"));
  EXPECT_EQ(ToTransportError(record_.errors[1]).operation, "sendto");
  EXPECT_EQ(ToTransportError(record_.errors[1]).address, refused.ToString());
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 1u);
  EXPECT_EQ(record_.settled_bytes, 3 * (1 + kDatagramHeaderBytes)) << "what failed is out of the buffer too";
  EXPECT_THAT(record_.events, Each("error"));
}

TEST_P(UdpTransportTest, RefusedWhilePausedIsToldAfterwards) {
  Open(GetParam(), {.remote = RefusedDatagramAddress(GetParam())});
  transport_->PauseReading();
  ASSERT_THAT(transport_->SendTo("x"), IsOk());
  Turn(5);
  EXPECT_THAT(record_.errors, IsEmpty());
  transport_->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return record_.errors.size() == 1; }));
}

TEST_P(UdpTransportTest, DatagramThatIsTooLongIsToldAndNothingElseIsLost) {
  OpenConnected();
  ASSERT_THAT(transport_->SendTo(std::string(65536, 'x')), IsOk());
  ASSERT_THAT(transport_->SendTo("next"), IsOk());
  EXPECT_EQ(peer_->Receive()->data, "next");
  ASSERT_TRUE(RunUntil([&] { return record_.errors.size() == 1; }));
  EXPECT_THAT(record_.errors[0], AllOf(HasReason("EMSGSIZE"), StatusIs(absl::StatusCode::kInvalidArgument)));
  const DatagramCounts counts = transport_->GetCounts();
  EXPECT_EQ(counts.dropped_sent_count, 1u);
  EXPECT_EQ(counts.dropped_sent_bytes, 65536u);
  EXPECT_EQ(counts.sent_count, 1u);
}

TEST_P(UdpTransportTest, BadAddressesOfTheFamilyAreTold) {
  OpenBound();
  SocketAddress name = Loopback(GetParam(), 5);
  name.host = "localhost";
  const SocketAddress other_version =
      Loopback(GetParam() == AddressFamily::kInet ? AddressFamily::kInet6 : AddressFamily::kInet, 5);
  ASSERT_THAT(transport_->SendTo("x", &name), IsOk());
  ASSERT_THAT(transport_->SendTo("x", &other_version), IsOk());
  Turn(2);
  ASSERT_EQ(record_.errors.size(), 2u);
  EXPECT_THAT(record_.errors[0], HasReason("INVALID_HOST"));
  EXPECT_THAT(record_.errors[1], HasReason("EAFNOSUPPORT"));
  EXPECT_FALSE(transport_->IsClosing());
}

TEST_P(UdpTransportTest, NoAddressWhereOneIsNeededIsFatal) {
  OpenBound();
  const SocketAddress address = peer_->address();
  const OutgoingDatagram datagrams[] = {{.data = "1", .address = &address}, {.data = "2"}, {.data = "3"}};
  EXPECT_THAT(transport_->SendMany(datagrams), IsOk());
  EXPECT_TRUE(transport_->IsClosing());
  EXPECT_FALSE(record_.lost());
  ASSERT_EQ(exceptions_.size(), 1u);
  EXPECT_EQ(exceptions_[0].message, "Fatal write error on datagram transport");
  Turn(2);
  ASSERT_TRUE(record_.lost());
  EXPECT_THAT(record_.end->status, AllOf(HasReason("INVALID_ADDRESS"), HasField("address")));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
  EXPECT_EQ(record_.end->counts.sent_count, 1u);
  EXPECT_EQ(record_.end->counts.dropped_sent_count, 2u);
  EXPECT_EQ(peer_->Receive()->data, "1");
}

TEST_P(UdpTransportTest, AddressOfAnotherKindIsFatal) {
  OpenBound();
  const SocketAddress path = UnixAddress("/tmp/x");
  EXPECT_THAT(transport_->SendTo("x", &path), IsOk());
  Turn(2);
  ASSERT_TRUE(record_.lost());
  EXPECT_THAT(record_.end->status, HasReason("INVALID_ADDRESS"));
}

TEST_P(UdpTransportTest, WaitingErrorsAreBounded) {
  OpenConnected();
  const std::string too_long(65536, 'x');
  for (int i = 0; i < 200; ++i) ASSERT_THAT(transport_->SendTo(too_long), IsOk());
  Turn(2);
  EXPECT_EQ(record_.errors.size(), 64u);
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 200u);
  ASSERT_THAT(transport_->SendTo(too_long), IsOk());
  Turn(2);
  EXPECT_EQ(record_.errors.size(), 65u);
}

// Reading.

TEST_P(UdpTransportTest, PausedReceivesNothingAndThenAll) {
  OpenBound();
  transport_->PauseReading();
  transport_->PauseReading();
  EXPECT_FALSE(transport_->IsReading());
  for (const char* data : {"1", "2", "3"}) ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  Turn(5);
  EXPECT_THAT(record_.received, IsEmpty());
  transport_->ResumeReading();
  EXPECT_TRUE(transport_->IsReading());
  EXPECT_THAT(record_.received, IsEmpty());
  ASSERT_TRUE(Receives(3));
  EXPECT_THAT(record_.received, ElementsAre("1", "2", "3"));
}

TEST_P(UdpTransportTest, PauseInTheMiddleOfABatchHoldsTheRest) {
  OpenBound();
  record_.on_datagram = [&] { transport_->PauseReading(); };
  for (const char* data : {"1", "2", "3", "4"}) ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  ASSERT_TRUE(Receives(1));
  Turn(5);
  EXPECT_THAT(record_.received, ElementsAre("1"));
  EXPECT_EQ(transport_->GetCounts().received_count, 1u);
  // One at a time, in order, never inside ResumeReading, with what came later after them.
  ASSERT_TRUE(peer_->SendTo(Sockname(), "5"));
  for (size_t count = 2; count <= 5; ++count) {
    transport_->ResumeReading();
    EXPECT_EQ(record_.received.size(), count - 1);
    ASSERT_TRUE(Receives(count));
    Turn(3);
    EXPECT_EQ(record_.received.size(), count);
  }
  EXPECT_THAT(record_.received, ElementsAre("1", "2", "3", "4", "5"));
  EXPECT_EQ(transport_->GetCounts().dropped_received_count, 0u);
}

TEST_P(UdpTransportTest, PauseAndResumeInsideDatagramReceivedLosesNothing) {
  OpenBound();
  record_.on_datagram = [&] {
    transport_->PauseReading();
    transport_->ResumeReading();
  };
  for (const char* data : {"1", "2", "3", "4"}) ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  ASSERT_TRUE(Receives(4));
  EXPECT_THAT(record_.received, ElementsAre("1", "2", "3", "4"));
}

TEST_P(UdpTransportTest, CloseInTheMiddleOfABatchCountsTheRestAsDropped) {
  OpenBound();
  record_.on_datagram = [&] {
    if (record_.received.size() == 2) transport_->Close();
  };
  for (const char* data : {"1", "2", "3", "4"}) ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  ASSERT_TRUE(RunUntil([&] { return record_.lost(); }));
  EXPECT_THAT(record_.received, ElementsAre("1", "2"));
  EXPECT_EQ(record_.end->counts.received_count, 2u);
  EXPECT_EQ(record_.end->counts.dropped_received_count, 2u);
}

TEST_P(UdpTransportTest, CloseWhileDatagramsAreHeldCountsThemAsDropped) {
  OpenBound();
  record_.on_datagram = [&] { transport_->PauseReading(); };
  for (const char* data : {"1", "2", "3"}) ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  ASSERT_TRUE(Receives(1));
  transport_->ResumeReading();
  transport_->Close();
  Turn(3);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.received.size(), 1u);
  EXPECT_EQ(record_.end->counts.dropped_received_count, 2u);
}

TEST_P(UdpTransportTest, WhatTheKernelDropsIsCounted) {
  OpenBound();
  absl::Status status;
  transport_->Setsockopt(SocketOption::kSoRcvbuf, 4096, [&](absl::Status result) { status = result; });
  ASSERT_THAT(status, IsOk());
  transport_->PauseReading();
  const std::string data(1000, 'd');
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(peer_->SendTo(Sockname(), data));
  const uint64_t dropped_count = transport_->GetCounts().dropped_received_count;
  EXPECT_GT(dropped_count, 50u);
  EXPECT_LT(dropped_count, 100u);
  transport_->ResumeReading();
  ASSERT_TRUE(Receives(100 - dropped_count));
  transport_->Close();
  Turn(2);
  EXPECT_EQ(record_.end->counts.dropped_received_count, dropped_count);
  EXPECT_EQ(transport_->GetCounts(), record_.end->counts) << "still there afterwards";
}

TEST_P(UdpTransportTest, LongDatagramsAreReadFewAtATime) {
  // So that a protocol that pauses at each has little held for it.
  OpenBound();
  const std::string longest(65507, 'l');
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(peer_->SendTo(Sockname(), longest));
    ASSERT_TRUE(Receives(static_cast<size_t>(i) + 1));
  }
  record_.on_datagram = [&] { transport_->PauseReading(); };
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(peer_->SendTo(Sockname(), longest));
  ASSERT_TRUE(Receives(9));
  transport_->Close();
  Turn(2);
  EXPECT_EQ(record_.end->counts.dropped_received_count, 0u) << "the second one was not even read";
}

// Ends.

TEST_P(UdpTransportTest, CloseThenConnectionLostThenNothing) {
  OpenConnected();
  transport_->Close();
  EXPECT_TRUE(transport_->IsClosing());
  EXPECT_FALSE(transport_->IsReading());
  EXPECT_FALSE(record_.lost());
  transport_->Close();
  transport_->Abort();
  EXPECT_THAT(transport_->SendTo("late"), IsOk());
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalClose);
  EXPECT_THAT(record_.end->status, IsOk());
  EXPECT_EQ(record_.end->counts.dropped_sent_count, 1u);
  EXPECT_EQ(transport_->GetProtocol(), nullptr);
  // All of it does nothing now.
  EXPECT_THAT(transport_->SendTo("later"), IsOk());
  transport_->PauseReading();
  transport_->ResumeReading();
  transport_->Close();
  transport_->Abort();
  transport_->SetProtocol(std::make_shared<RecordingDatagramProtocol>(other_record_));
  EXPECT_FALSE(peer_->TryReceive().has_value());
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 2u);
  absl::Status status;
  transport_->Getsockopt(SocketOption::kSoRcvbuf, [&](absl::StatusOr<int> value) { status = value.status(); });
  EXPECT_THAT(status, HasReason("TRANSPORT_LOST"));
  transport_->JoinGroup({.address = "224.0.0.251"}, [&](absl::Status result) { status = result; });
  EXPECT_THAT(status, HasReason("TRANSPORT_LOST"));
  transport_->Setsockopt(SocketOption::kSoRcvbuf, 5000, [&](absl::Status result) { status = result; });
  EXPECT_THAT(status, HasReason("TRANSPORT_LOST"));
}

TEST_P(UdpTransportTest, AbortInsideConnectionMadeStillCallsOnReady) {
  Make(GetParam(), {.local = Loopback(GetParam())});
  record_.on_made = [this] { record_.transport->Abort(); };
  transport_->Start([this] { record_.events.push_back("ready"); });
  Turn(4);
  EXPECT_THAT(record_.events, testing::UnorderedElementsAre("made", "ready", "lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
}

TEST_P(UdpTransportTest, FailTellsItsCause) {
  OpenConnected();
  transport_->Fail(EndCause::kPolicyRevoked, absl::PermissionDeniedError("no more"));
  Turn(2);
  EXPECT_EQ(record_.end->cause, EndCause::kPolicyRevoked);
  EXPECT_THAT(record_.end->status, StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_P(UdpTransportTest, ErrorsComeBeforeConnectionLost) {
  OpenConnected();
  ASSERT_THAT(transport_->SendTo(std::string(65536, 'x')), IsOk());
  transport_->Abort();
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("error", "lost"));
}

TEST_P(UdpTransportTest, SetProtocolTakesOver) {
  OpenBound();
  transport_->SetProtocol(std::make_shared<RecordingDatagramProtocol>(other_record_));
  ASSERT_TRUE(peer_->SendTo(Sockname(), "x"));
  ASSERT_TRUE(RunUntil([&] { return !other_record_.received.empty(); }));
  transport_->Close();
  Turn(2);
  EXPECT_THAT(other_record_.events, ElementsAre("datagram", "lost"));
  EXPECT_THAT(record_.events, IsEmpty());
}

TEST_P(UdpTransportTest, LoopThatGoesCallsNobody) {
  OpenBound();
  ASSERT_TRUE(peer_->SendTo(Sockname(), "x"));
  context_.reset();
  EXPECT_THAT(record_.events, IsEmpty());
  EXPECT_THAT(transport_->SendTo("x"), IsOk());
  transport_->Close();
  EXPECT_TRUE(transport_->IsClosing());
}

// The write buffer, with a Unix peer that does not read: UDP over loopback never has to wait.

using WriteBufferTest = DatagramFixture;

TEST_F(WriteBufferTest, WeighsBytesAndEightForEach) {
  OpenFull();
  const size_t before = transport_->GetWriteBufferSize();
  EXPECT_EQ(before, 1 + kDatagramHeaderBytes);
  ASSERT_THAT(transport_->SendTo("12345"), IsOk());
  ASSERT_THAT(transport_->SendTo(""), IsOk());
  EXPECT_EQ(transport_->GetWriteBufferSize(), before + 5 + 2 * kDatagramHeaderBytes);
  EXPECT_EQ(transport_->GetCounts().sent_count, full_count_ - 1);
}

TEST_F(WriteBufferTest, GoesOutInOrderWhenThePeerReadsAndWeighsNothingThen) {
  OpenFull();
  std::vector<std::string> queued;
  for (int i = 0; i < 200; ++i) {
    queued.push_back(std::string(static_cast<size_t>(i), 'q'));
    ASSERT_THAT(transport_->SendTo(queued.back()), IsOk());
  }
  std::vector<std::string> received;
  ASSERT_TRUE(RunUntil([&] {
    while (const auto datagram = peer_->TryReceive()) received.push_back(datagram->data);
    return received.size() == full_count_ + queued.size();
  }));
  received.erase(received.begin(), received.begin() + static_cast<ptrdiff_t>(full_count_));
  EXPECT_THAT(received, ElementsAreArray(queued));
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
  size_t bytes = full_count_;
  for (const std::string& data : queued) bytes += data.size();
  EXPECT_EQ(record_.settled_bytes, bytes + kDatagramHeaderBytes * (full_count_ + queued.size()));
  EXPECT_EQ(transport_->GetCounts().sent_bytes, bytes);
}

TEST_F(WriteBufferTest, PausesStrictlyOverHighAndResumesAtLow) {
  OpenFull();
  ASSERT_THAT(transport_->SetWriteBufferLimits({.high_bytes = 100, .low_bytes = 20}), IsOk());
  const size_t before = transport_->GetWriteBufferSize();
  ASSERT_THAT(transport_->SendTo(std::string(100 - before - kDatagramHeaderBytes, 'x')), IsOk());
  EXPECT_EQ(transport_->GetWriteBufferSize(), 100u);
  EXPECT_THAT(record_.events, IsEmpty());
  ASSERT_THAT(transport_->SendTo(""), IsOk());
  EXPECT_THAT(record_.events, ElementsAre("pause")) << "inside sendto";
  ASSERT_THAT(transport_->SendTo(""), IsOk());
  EXPECT_THAT(record_.events, ElementsAre("pause"));
  uint64_t size_at_resume = 0;
  record_.on_resume = [&] { size_at_resume = transport_->GetWriteBufferSize(); };
  ASSERT_TRUE(RunUntil([&] {
    peer_->TryReceive();
    return record_.events.size() == 2;
  }));
  EXPECT_EQ(record_.events[1], "resume");
  EXPECT_LE(size_at_resume, 20u);
}

TEST_F(WriteBufferTest, LimitsMayPauseAtOnce) {
  OpenFull();
  ASSERT_THAT(transport_->SetWriteBufferLimits({.high_bytes = 0}), IsOk());
  EXPECT_THAT(record_.events, ElementsAre("pause"));
  EXPECT_THAT(transport_->SetWriteBufferLimits({.high_bytes = 1, .low_bytes = 2}), HasReason("INVALID_LIMITS"));
  EXPECT_EQ(transport_->GetWriteBufferLimits(), (WriteBufferMarks{.high_bytes = 0, .low_bytes = 0}));
}

TEST_F(WriteBufferTest, CloseFlushesAndTakesMoreMeanwhile) {
  OpenFull();
  for (int i = 0; i < 400; ++i) ASSERT_THAT(transport_->SendTo("q"), IsOk());
  transport_->Close();
  EXPECT_TRUE(transport_->IsClosing());
  ASSERT_THAT(transport_->SendTo("last"), IsOk());
  Turn(3);
  EXPECT_FALSE(record_.lost());
  std::vector<std::string> received;
  ASSERT_TRUE(RunUntil([&] {
    while (const auto datagram = peer_->TryReceive()) received.push_back(datagram->data);
    return record_.lost();
  }));
  while (const auto datagram = peer_->TryReceive()) received.push_back(datagram->data);
  EXPECT_EQ(received.size(), full_count_ + 401);
  EXPECT_EQ(received.back(), "last");
  EXPECT_EQ(record_.end->cause, EndCause::kLocalClose);
  EXPECT_THAT(record_.end->status, IsOk());
  EXPECT_EQ(record_.end->counts.dropped_sent_count, 0u);
}

TEST_F(WriteBufferTest, AbortDropsAndOvertakesClose) {
  OpenFull();
  ASSERT_THAT(transport_->SendTo("123"), IsOk());
  transport_->Close();
  transport_->Abort();
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
  Turn(2);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
  EXPECT_EQ(record_.end->counts.dropped_sent_count, 2u);
  EXPECT_EQ(record_.end->counts.dropped_sent_bytes, 4u);
}

TEST_F(WriteBufferTest, ErrorOfAQueuedDatagramIsToldAndTheNextOneGoes) {
  OpenFull();
  // Longer than the socket's own buffer: the kernel can never take it.
  const std::string too_long(8 << 20, 'x');
  ASSERT_THAT(transport_->SendTo(too_long), IsOk());
  ASSERT_THAT(transport_->SendTo("next"), IsOk());
  std::string last;
  ASSERT_TRUE(RunUntil([&] {
    while (const auto datagram = peer_->TryReceive()) last = datagram->data;
    return last == "next";
  }));
  ASSERT_EQ(record_.errors.size(), 1u);
  EXPECT_THAT(record_.errors[0], HasReason("EMSGSIZE"));
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
}

TEST_F(WriteBufferTest, PeerThatGoesIsToldAndTheQueueDrains) {
  OpenFull();
  for (int i = 0; i < 3; ++i) ASSERT_THAT(transport_->SendTo("q"), IsOk());
  peer_->Close();
  ASSERT_TRUE(RunUntil([&] { return transport_->GetWriteBufferSize() == 0; }));
  ASSERT_FALSE(record_.errors.empty());
  EXPECT_THAT(record_.errors[0], HasReason("ECONNREFUSED"));
  EXPECT_EQ(transport_->GetCounts().dropped_sent_count, 4u);
  EXPECT_FALSE(transport_->IsClosing());
}

TEST_F(WriteBufferTest, SendToInsidePauseWritingKeepsOrder) {
  OpenFull();
  ASSERT_THAT(transport_->SetWriteBufferLimits({.high_bytes = 30}), IsOk());
  record_.on_pause = [&] { ASSERT_THAT(transport_->SendTo("inside"), IsOk()); };
  ASSERT_THAT(transport_->SendTo("0123456789"), IsOk());
  ASSERT_THAT(transport_->SendTo("0123456789"), IsOk());
  std::vector<std::string> received;
  ASSERT_TRUE(RunUntil([&] {
    while (const auto datagram = peer_->TryReceive()) received.push_back(datagram->data);
    return received.size() == full_count_ + 3;
  }));
  EXPECT_EQ(received.back(), "inside");
}

TEST_F(WriteBufferTest, LoopThatGoesDropsIt) {
  OpenFull();
  context_.reset();
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
}

TEST_F(WriteBufferTest, FullReceiverOfAnUnconnectedUnixSocketIsTriedAgainWithoutSpinning) {
  // epoll calls such a socket writable whatever its receivers have room for.
  peer_ = RawDatagramPeer::OnPath(AbstractName("full"));
  const SocketAddress address = peer_->address();
  Open(AddressFamily::kUnix, {});
  size_t sent_count = 0;
  while (transport_->GetWriteBufferSize() == 0) {
    ASSERT_THAT(transport_->SendTo("f", &address), IsOk());
    ++sent_count;
  }
  ASSERT_THAT(transport_->SendTo("last", &address), IsOk());
  ++sent_count;
  EXPECT_EQ(reactor().GetCounts().timers, 1u);
  std::string last;
  size_t received_count = 0;
  ASSERT_TRUE(RunUntil([&] {
    while (const auto datagram = peer_->TryReceive()) {
      last = datagram->data;
      ++received_count;
    }
    return last == "last";
  }));
  EXPECT_EQ(received_count, sent_count);
  Turn(1);
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
}

TEST_F(WriteBufferTest, AbortEndsTheRetries) {
  peer_ = RawDatagramPeer::OnPath(AbstractName("full"));
  const SocketAddress address = peer_->address();
  Open(AddressFamily::kUnix, {});
  while (transport_->GetWriteBufferSize() == 0) ASSERT_THAT(transport_->SendTo("f", &address), IsOk());
  transport_->Abort();
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
}

// Unix sockets.

using UnixDatagramTransportTest = DatagramFixture;

TEST_F(UnixDatagramTransportTest, SenderWithoutANameHasNoAddress) {
  Open(AddressFamily::kUnix, {.local = UnixAddress(AbstractName("here"))});
  RawDatagramPeer unnamed = RawDatagramPeer::OnPath("");
  RawDatagramPeer named = RawDatagramPeer::OnPath(AbstractName("there"));
  ASSERT_TRUE(unnamed.SendTo(Sockname(), "1"));
  ASSERT_TRUE(named.SendTo(Sockname(), "2"));
  ASSERT_TRUE(unnamed.SendTo(Sockname(), ""));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 3; }));
  EXPECT_THAT(record_.received, ElementsAre("1", "2", ""));
  EXPECT_THAT(record_.senders, ElementsAre(std::nullopt, named.address(), std::nullopt));
}

TEST_F(UnixDatagramTransportTest, DatagramsUpToTheSocketsLimit) {
  Open(AddressFamily::kUnix, {.local = UnixAddress(AbstractName("here"))});
  RawDatagramPeer peer = RawDatagramPeer::OnPath("");
  const std::string large(200'000, 'l');
  ASSERT_TRUE(peer.SendTo(Sockname(), large));
  ASSERT_TRUE(RunUntil([&] { return record_.received.size() == 1; }));
  EXPECT_EQ(record_.received[0], large);
}

TEST_F(UnixDatagramTransportTest, WrongFamilyIsFatalAndALongPathIsTold) {
  Open(AddressFamily::kUnix, {});
  const SocketAddress long_path = UnixAddress(std::string(200, 'p'));
  const SocketAddress nobody = UnixAddress("/nowhere/at/all");
  ASSERT_THAT(transport_->SendTo("x", &long_path), IsOk());
  ASSERT_THAT(transport_->SendTo("x", &nobody), IsOk());
  Turn(2);
  ASSERT_EQ(record_.errors.size(), 2u);
  EXPECT_THAT(record_.errors[0], HasReason("INVALID_PATH"));
  EXPECT_THAT(record_.errors[1], HasReason("ENOENT"));
  const SocketAddress inet = Loopback(AddressFamily::kInet, 5);
  ASSERT_THAT(transport_->SendTo("x", &inet), IsOk());
  Turn(2);
  ASSERT_TRUE(record_.lost());
  EXPECT_THAT(record_.end->status, HasReason("INVALID_ADDRESS"));
}

}  // namespace
}  // namespace transportd
