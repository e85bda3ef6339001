// Stream transports over real loopback sockets: what the peer sees, and what the kernel does.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/loop/event_loop_fixture.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class TcpTransportTest : public EventLoopFixture, public testing::WithParamInterface<AddressFamily> {
 protected:
  void SetUp() override {
    EventLoopFixture::SetUp();
    record_ = &NewRecord();
    transport_ = Open(*record_, listener_.address());
    ASSERT_NE(transport_, nullptr);
    peer_ = listener_.Accept();
  }
  void TearDown() override {
    transport_.reset();
    EventLoopFixture::TearDown();
  }
  // Until `size_bytes` arrived at the peer, with the loop turning meanwhile.
  bool PeerReceives(size_t size_bytes) {
    return RunUntil([&] {
      peer_.Poll();
      return peer_.received().size() >= size_bytes;
    });
  }
  bool PeerEnds() {
    return RunUntil([&] {
      peer_.Poll();
      return peer_.eof() || peer_.error_number() != 0;
    });
  }

  RawListener listener_{GetParam()};
  Record* record_ = nullptr;
  std::shared_ptr<Transport> transport_;
  RawPeer peer_;
};

INSTANTIATE_TEST_SUITE_P(, TcpTransportTest, testing::Values(AddressFamily::kInet, AddressFamily::kInet6),
                         [](const auto& parameter) {
                           return parameter.param == AddressFamily::kInet ? "Inet" : "Inet6";
                         });

// Bytes that tell their place.
std::string Pattern(size_t size) {
  std::string data(size, '\0');
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>((i * 31 + i / 251) & 0xff);
  return data;
}

TEST_P(TcpTransportTest, WriteIsInTheKernelWhenItReturns) {
  ASSERT_THAT(transport_->Write("hello"), IsOk());
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
  ASSERT_TRUE(peer_.RecvAtLeast(5)) << "without another turn of the loop";
  EXPECT_EQ(peer_.received(), "hello");
}

TEST_P(TcpTransportTest, DataArrivesInPiecesOfAtMost256KiB) {
  size_t longest = 0, before = 0;
  record_->on_data = [&] {
    longest = std::max(longest, record_->received.size() - before);
    before = record_->received.size();
  };
  const std::string data = Pattern(3 << 20);
  size_t sent = 0;
  ASSERT_TRUE(RunUntil([&] {
    sent += peer_.TrySend(std::string_view(data).substr(sent));
    return record_->received.size() == data.size();
  }));
  EXPECT_TRUE(record_->received == data);
  EXPECT_LE(longest, 262144u);
  EXPECT_EQ(transport_->ReceivedBytes(), data.size());
}

TEST_P(TcpTransportTest, CloseFlushesTenMegabytesThenFin) {
  const std::string data = Pattern(10'000'000);
  ASSERT_THAT(transport_->Write(data), IsOk());
  EXPECT_GT(transport_->GetWriteBufferSize(), 0u);
  transport_->Close();
  ASSERT_TRUE(PeerEnds());
  EXPECT_TRUE(peer_.eof());
  EXPECT_TRUE(peer_.received() == data);
  ASSERT_TRUE(record_->lost());
  EXPECT_EQ(record_->end->cause, EndCause::kLocalClose);
  EXPECT_EQ(record_->end->sent_bytes, data.size());
  EXPECT_EQ(record_->end->dropped_bytes, 0u);
  EXPECT_THAT(record_->events, ElementsAre("pause", "resume", "lost"));
}

TEST_P(TcpTransportTest, WriteBufferGrowsNoMoreWhenThePeerDoesNotRead) {
  // A writer that heeds PauseWriting is bounded by one write over the high-water mark.
  const std::string block = Pattern(10'000);
  bool paused = false;
  record_->on_pause = [&] { paused = true; };
  record_->on_resume = [&] { paused = false; };
  size_t written = 0;
  for (int turn = 0; turn < 1000 && !paused; ++turn) {
    while (!paused) {
      ASSERT_THAT(transport_->Write(block), IsOk());
      written += block.size();
    }
    Turn(3);
  }
  EXPECT_TRUE(paused);
  EXPECT_LE(transport_->GetWriteBufferSize(), 65536 + block.size());
  ASSERT_TRUE(PeerReceives(written));
  EXPECT_FALSE(paused);
  EXPECT_EQ(record_->bytes_sent.back(), written);
}

TEST_P(TcpTransportTest, PausedReadingStopsThePeer) {
  transport_->PauseReading();
  const std::string block = Pattern(1 << 20);
  size_t sent = 0;
  // The kernel's buffers take some megabytes, and then no more.
  for (int idle = 0; idle < 20;) {
    const size_t size = peer_.TrySend(block);
    sent += size;
    idle = size == 0 ? idle + 1 : 0;
    Turn(1);
    ASSERT_LT(sent, 256u << 20);
  }
  EXPECT_EQ(record_->received.size(), 0u);
  transport_->ResumeReading();
  EXPECT_TRUE(RunUntil([&] { return record_->received.size() == sent; }));
}

TEST_P(TcpTransportTest, PauseHoldsFinBack) {
  transport_->PauseReading();
  ASSERT_TRUE(peer_.Send("last"));
  peer_.Close();
  Turn(10);
  EXPECT_THAT(record_->events, IsEmpty());
  transport_->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("data", "eof", "lost"));
  EXPECT_EQ(record_->received, "last");
  EXPECT_EQ(record_->end->cause, EndCause::kEof);
}

TEST_P(TcpTransportTest, PauseHoldsRstBack) {
  transport_->PauseReading();
  peer_.Reset();
  Turn(10);
  EXPECT_THAT(record_->events, IsEmpty());
  transport_->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kReset);
}

TEST_P(TcpTransportTest, RstIsToldWithErrnoAndAddress) {
  peer_.Reset();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("lost"));
  const TransportError error = ToTransportError(record_->end->status);
  EXPECT_EQ(error.errno_number, ECONNRESET);
  EXPECT_EQ(error.operation, "recv");
  EXPECT_EQ(error.address, listener_.address().ToString());
  EXPECT_THAT(exceptions_, IsEmpty());
}

TEST_P(TcpTransportTest, WritingToAPeerThatIsGoneEndsItWhilePaused) {
  transport_->PauseReading();
  peer_.Close();
  ASSERT_TRUE(RunUntil([&] {
    EXPECT_THAT(transport_->Write("x"), IsOk());
    return record_->lost();
  }));
  EXPECT_TRUE(record_->end->cause == EndCause::kBrokenPipe || record_->end->cause == EndCause::kReset);
  EXPECT_THAT(record_->events, ElementsAre("lost"));
  EXPECT_GT(record_->end->dropped_bytes, 0u);
}

TEST_P(TcpTransportTest, HalfCloseHereFirst) {
  ASSERT_THAT(transport_->Write("request"), IsOk());
  transport_->WriteEof();
  ASSERT_TRUE(peer_.RecvToEof());
  EXPECT_EQ(peer_.received(), "request");
  ASSERT_TRUE(peer_.Send("response"));
  ASSERT_TRUE(RunUntil([&] { return record_->received == "response"; }));
  EXPECT_FALSE(transport_->IsClosing());
  peer_.Close();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("data", "eof", "lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kEof);
}

TEST_P(TcpTransportTest, HalfCloseThereFirst) {
  record_->keep_open = true;
  ASSERT_TRUE(peer_.Send("request"));
  peer_.ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return record_->events.size() == 2; }));
  EXPECT_THAT(record_->events, ElementsAre("data", "eof"));
  const std::string response = Pattern(1'000'000);
  ASSERT_THAT(transport_->Write(response), IsOk());
  transport_->WriteEof();
  ASSERT_TRUE(PeerEnds());
  EXPECT_TRUE(peer_.received() == response);
  Turn();
  EXPECT_FALSE(record_->lost()) << "both sides ended; only Close ends the transport";
  transport_->Close();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_EQ(record_->end->cause, EndCause::kEof);
}

TEST_P(TcpTransportTest, HalfClosedPeerThatIsGoneIsABrokenPipe) {
  record_->keep_open = true;
  peer_.Close();
  ASSERT_TRUE(RunUntil([&] { return !record_->events.empty(); }));
  ASSERT_TRUE(RunUntil([&] {
    EXPECT_THAT(transport_->Write("x"), IsOk());
    return record_->lost();
  }));
  EXPECT_THAT(record_->events, ElementsAre("eof", "lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kBrokenPipe);
}

TEST_P(TcpTransportTest, AbortSendsFin) {
  ASSERT_THAT(transport_->Write("in the kernel"), IsOk());
  transport_->Abort();
  ASSERT_TRUE(PeerEnds());
  EXPECT_TRUE(peer_.eof());
  EXPECT_EQ(peer_.received(), "in the kernel");
  EXPECT_EQ(record_->end->cause, EndCause::kLocalAbort);
}

TEST_P(TcpTransportTest, AbortWithResetSendsRst) {
  transport_->Abort(/*reset=*/true);
  ASSERT_TRUE(PeerEnds());
  EXPECT_EQ(peer_.error_number(), ECONNRESET);
  EXPECT_EQ(record_->end->cause, EndCause::kLocalAbort);
  EXPECT_THAT(record_->end->status, IsOk());
}

TEST_P(TcpTransportTest, SocketOptionsAreSetAndRead) {
  absl::Status set;
  absl::StatusOr<int> value;
  transport_->Setsockopt(SocketOption::kTcpNodelay, 0, [&](absl::Status status) { set = std::move(status); });
  transport_->Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> result) { value = std::move(result); });
  EXPECT_THAT(set, IsOk());
  EXPECT_EQ(*value, 0);
  transport_->Setsockopt(SocketOption::kSoType, 1, [&](absl::Status status) { set = std::move(status); });
  EXPECT_THAT(set, HasReason("INVALID_OPTION_VALUE"));
}

TEST_P(TcpTransportTest, IdleHalfClosedTransportDoesNotSpin) {
  record_->keep_open = true;
  peer_.ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return !record_->events.empty(); }));
  transport_->WriteEof();
  Turn();
  // Both directions ended: epoll would report a hang-up for ever, were the descriptor still in it.
  const TimePoint before = SystemClock().Now();
  loop_->reactor().RunOnce(std::chrono::milliseconds(50));
  EXPECT_GE(SystemClock().Now() - before, std::chrono::milliseconds(45));
}

}  // namespace
}  // namespace transportd
