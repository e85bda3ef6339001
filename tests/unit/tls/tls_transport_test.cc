// Stream transports over TLS: bytes, flow control and every way to end. The peer is OpenSSL's own, or our other side.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <random>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/tls/tls_fixture.h"

namespace transportd {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

std::string VersionName(const testing::TestParamInfo<TlsVersion>& parameter) {
  return parameter.param == TlsVersion::kTls12 ? "Tls12" : "Tls13";
}

class TlsTransportTest : public TlsFixture, public testing::WithParamInterface<TlsVersion> {
 protected:
  void SetUp() override {
    TlsFixture::SetUp();
    context_ = ServerContext();
    record_ = &NewRecord();
    TlsOptions tls = ClientTls();
    tls.maximum_version = GetParam();
    tls.shutdown_timeout = seconds(3);
    OpenToPeer(*record_, context_.get(), tls);
    transport_ = record_->transport;
    ASSERT_EQ(transport_->GetExtraInfo().tls->version, GetParam() == TlsVersion::kTls13 ? "TLSv1.3" : "TLSv1.2");
  }
  void TearDown() override {
    transport_.reset();
    TlsFixture::TearDown();
    peer_.reset();
  }
  bool Lost() {
    return RunUntilWithPeer([&] { return record_->lost(); });
  }

  OpensslContext context_;
  Record* record_ = nullptr;
  std::shared_ptr<Transport> transport_;
};

INSTANTIATE_TEST_SUITE_P(, TlsTransportTest, testing::Values(TlsVersion::kTls12, TlsVersion::kTls13), VersionName);

// Bytes.

TEST_P(TlsTransportTest, WriteIsInTheKernelWhenItReturns) {
  ASSERT_THAT(transport_->Write("hello"), IsOk());
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
  EXPECT_EQ(transport_->SentBytes(), 5u);
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->received() == "hello"; }));
}

TEST_P(TlsTransportTest, ManySmallPiecesKeepTheirOrder) {
  std::vector<std::string> lines;
  std::string all;
  for (int i = 0; i < 3000; ++i) {
    lines.push_back(i % 5 == 0 ? std::string() : std::to_string(i) + std::string(static_cast<size_t>(i % 97), '.'));
    all += lines.back();
  }
  ASSERT_THAT(transport_->Writelines(std::vector<std::string_view>(lines.begin(), lines.end())), IsOk());
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->received().size() == all.size(); }));
  EXPECT_TRUE(peer_->received() == all);
}

TEST_P(TlsTransportTest, DataArrivesInPiecesOfAtMost256KiB) {
  size_t longest = 0, before = 0;
  record_->on_data = [&] {
    longest = std::max(longest, record_->received.size() - before);
    before = record_->received.size();
  };
  const std::string data = Pattern(3 << 20);
  peer_->Send(data);
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received.size() == data.size(); }));
  EXPECT_TRUE(record_->received == data);
  EXPECT_LE(longest, 262144u);
  EXPECT_EQ(transport_->ReceivedBytes(), data.size());
}

TEST_P(TlsTransportTest, SlowReaderGetsEverythingAndTheWriterIsPaused) {
  peer_->StopReading();
  std::string all;
  const std::string block = Pattern(100'000);
  bool paused = false;
  record_->on_pause = [&] { paused = true; };
  while (!paused) {
    ASSERT_THAT(transport_->Write(block), IsOk());
    all += block;
    ASSERT_LT(all.size(), 256u << 20);
  }
  EXPECT_GT(transport_->GetWriteBufferSize(), 512u * 1024);
  EXPECT_LE(transport_->GetWriteBufferSize(), 512u * 1024 + block.size());
  const size_t sent = transport_->SentBytes();
  Turn(10);
  EXPECT_EQ(transport_->SentBytes(), sent) << "nothing is counted that the kernel did not take";
  EXPECT_EQ(sent + transport_->GetWriteBufferSize(), all.size());

  peer_->StartReading();
  const std::string& received = peer_->received();
  ASSERT_TRUE(RunUntilWithPeer([&] { return received.size() == all.size(); }));
  EXPECT_TRUE(received == all);
  EXPECT_EQ(transport_->SentBytes(), all.size());
  EXPECT_EQ(record_->bytes_sent.back(), all.size());
  EXPECT_EQ(record_->events.back(), "resume");
}

TEST_P(TlsTransportTest, PausedReadingStopsThePeerAndLosesNothing) {
  transport_->PauseReading();
  const std::string data = Pattern(32 << 20);
  peer_->Send(data);
  size_t unsent = 0;
  for (int same = 0; same < 20;) {
    TurnWithPeer(1);
    same = peer_->unsent_bytes() == unsent ? same + 1 : 0;
    unsent = peer_->unsent_bytes();
  }
  EXPECT_GT(unsent, 0u) << "the kernel's buffers take some megabytes, and then no more";
  EXPECT_EQ(record_->received.size(), 0u);
  transport_->ResumeReading();
  EXPECT_EQ(record_->received.size(), 0u);
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received.size() == data.size(); }));
  EXPECT_TRUE(record_->received == data);
}

TEST_P(TlsTransportTest, PauseInsideDataReceivedHoldsWhatOpensslHasAlready) {
  // Two records that one read of the socket brings; a protocol's buffer of one byte leaves the rest inside.
  auto protocol = std::make_shared<RecordingBufferedProtocol>(*record_, 1);
  transport_->SetProtocol(protocol);
  record_->on_data = [&] { transport_->PauseReading(); };
  peer_->Send("ab");
  ASSERT_TRUE(RunUntilWithPeer([&] { return !record_->received.empty(); }));
  TurnWithPeer(5);
  EXPECT_EQ(record_->received, "a");
  transport_->ResumeReading();
  TurnWithPeer(5);
  EXPECT_EQ(record_->received, "ab") << "no event of the descriptor comes for it";
}

TEST_P(TlsTransportTest, BufferedProtocolWithASmallBufferGetsAll) {
  auto protocol = std::make_shared<RecordingBufferedProtocol>(*record_, 1000);
  transport_->SetProtocol(protocol);
  const std::string data = Pattern(200'000);
  peer_->Send(data);
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received.size() == data.size(); }));
  EXPECT_TRUE(record_->received == data);
}

TEST_P(TlsTransportTest, WriteEofDoesNothing) {
  transport_->WriteEof();
  ASSERT_THAT(transport_->Write("still open"), IsOk());
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->received() == "still open"; }));
  EXPECT_FALSE(peer_->notified());
}

// The peer ends.

TEST_P(TlsTransportTest, PeersCloseNotifyIsAnEof) {
  peer_->Send("last");
  peer_->Poll();
  peer_->Shutdown();
  ASSERT_TRUE(Lost());
  EXPECT_THAT(record_->events, ElementsAre("data", "eof", "lost"));
  EXPECT_EQ(record_->received, "last");
  EXPECT_EQ(record_->end->cause, EndCause::kEof);
  EXPECT_THAT(record_->end->status, IsOk());
  TurnWithPeer();
  EXPECT_TRUE(peer_->notified()) << "it was answered";
}

TEST_P(TlsTransportTest, EofCannotBeKeptOpen) {
  record_->keep_open = true;
  peer_->Shutdown();
  ASSERT_TRUE(Lost());
  EXPECT_THAT(record_->events, ElementsAre("eof", "lost"));
}

TEST_P(TlsTransportTest, WhatIsBufferedAtTheEofIsSentBeforeTheAnswer) {
  peer_->StopReading();
  const std::string data = Pattern(20 << 20);
  ASSERT_THAT(transport_->Write(data), IsOk());
  ASSERT_GT(transport_->GetWriteBufferSize(), 0u);
  peer_->Shutdown();
  peer_->StartReading();
  const std::string& received = peer_->received();
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->notified() && record_->lost(); }));
  EXPECT_TRUE(received == data);
  EXPECT_EQ(record_->end->sent_bytes, data.size());
  EXPECT_EQ(record_->end->dropped_bytes, 0u);
}

TEST_P(TlsTransportTest, BareFinIsAnEofThatIsToldApart) {
  peer_->Send("cut sh");
  peer_->Poll();
  peer_->raw().ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("data", "eof", "lost"));
  EXPECT_EQ(record_->received, "cut sh");
  EXPECT_EQ(record_->end->cause, EndCause::kRaggedEof);
  EXPECT_THAT(record_->end->status, IsOk()) << "asyncio's None";
}

TEST_P(TlsTransportTest, BareFinDoesNotKeepWhatIsBufferedFromBeingSent) {
  peer_->StopReading();
  const std::string data = Pattern(20 << 20);
  ASSERT_THAT(transport_->Write(data), IsOk());
  ASSERT_GT(transport_->GetWriteBufferSize(), 0u);
  peer_->raw().ShutdownWrite();
  peer_->StartReading();
  const std::string& received = peer_->received();
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->lost() && received.size() == data.size(); }));
  EXPECT_TRUE(received == data);
  EXPECT_EQ(record_->end->cause, EndCause::kRaggedEof);
}

TEST_P(TlsTransportTest, FinInTheMiddleOfARecordIsRaggedToo) {
  ASSERT_TRUE(peer_->raw().Send(std::string("\x17\x03\x03\x00\x40xyz", 8)));
  peer_->raw().ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_EQ(record_->end->cause, EndCause::kRaggedEof);
  EXPECT_EQ(record_->received, "");
}

TEST_P(TlsTransportTest, ResetIsToldAsTheKernelSaysIt) {
  peer_->raw().Reset();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kReset);
  EXPECT_EQ(ToTransportError(record_->end->status).errno_number, ECONNRESET);
}

TEST_P(TlsTransportTest, CorruptRecordIsATlsError) {
  peer_->Send("good");
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received == "good"; }));
  ASSERT_TRUE(peer_->raw().Send(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'g')));
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("data", "lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kTlsError);
  EXPECT_THAT(record_->end->status, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(record_->end->status, HasReason("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"));
  EXPECT_EQ(ToTransportError(record_->end->status).operation, "recv");
  EXPECT_THAT(exceptions_, IsEmpty());
  TurnWithPeer();
  EXPECT_EQ(peer_->error().find("alert") != std::string::npos, true) << peer_->error();
}

TEST_P(TlsTransportTest, PauseHoldsTheEndBack) {
  transport_->PauseReading();
  peer_->Send("last");
  peer_->Poll();
  peer_->Shutdown();
  TurnWithPeer();
  EXPECT_THAT(record_->events, IsEmpty());
  transport_->ResumeReading();
  ASSERT_TRUE(Lost());
  EXPECT_THAT(record_->events, ElementsAre("data", "eof", "lost"));
}

// This side ends.

TEST_P(TlsTransportTest, CloseFlushesThenNotifiesAndWaitsForTheAnswer) {
  const std::string data = Pattern(20 << 20);
  ASSERT_THAT(transport_->Write(data), IsOk());
  ASSERT_GT(transport_->GetWriteBufferSize(), 0u);
  transport_->Close();
  EXPECT_TRUE(transport_->IsClosing());
  EXPECT_THAT(transport_->Write("dropped"), IsOk());
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->notified(); }));
  EXPECT_TRUE(peer_->received() == data);
  TurnWithPeer();
  EXPECT_FALSE(record_->lost()) << "before the peer's answer";
  peer_->Shutdown();
  ASSERT_TRUE(Lost());
  EXPECT_EQ(record_->events.back(), "lost");
  EXPECT_EQ(record_->events[record_->events.size() - 2], "eof");
  EXPECT_EQ(record_->end->cause, EndCause::kLocalClose);
  EXPECT_THAT(record_->end->status, IsOk());
  EXPECT_EQ(record_->end->sent_bytes, data.size());
  EXPECT_EQ(record_->end->dropped_bytes, 7u);
}

TEST_P(TlsTransportTest, FinAnswersCloseNotifyToo) {
  transport_->Close();
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->notified(); }));
  EXPECT_THAT(record_->events, IsEmpty()) << "nothing inside Close";
  peer_->raw().ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("eof", "lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kLocalClose);
  EXPECT_THAT(record_->end->status, IsOk());
}

TEST_P(TlsTransportTest, CloseThatIsNotAnsweredTimesOut) {
  transport_->Close();
  TurnWithPeer();
  clock_.Advance(seconds(3) - Duration(1));
  TurnWithPeer();
  EXPECT_FALSE(record_->lost());
  clock_.Advance(Duration(1));
  ASSERT_TRUE(Lost());
  EXPECT_THAT(record_->events, ElementsAre("lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kTimedOut);
  EXPECT_THAT(record_->end->status, HasReason("SHUTDOWN_TIMEOUT"));
}

TEST_P(TlsTransportTest, DataAfterCloseIsAnErrorAsInAsyncio) {
  transport_->Close();
  peer_->Send("too late");
  ASSERT_TRUE(Lost());
  EXPECT_THAT(record_->events, ElementsAre("lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kTlsError);
  EXPECT_THAT(record_->end->status, HasReason("APPLICATION_DATA_AFTER_CLOSE_NOTIFY"));
}

TEST_P(TlsTransportTest, CloseInsideEofReceivedIsOne) {
  record_->on_eof = [this] { transport_->Close(); };
  peer_->Shutdown();
  ASSERT_TRUE(Lost());
  EXPECT_THAT(record_->events, ElementsAre("eof", "lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kEof);
}

TEST_P(TlsTransportTest, CloseInsideDataReceivedIsTheLastData) {
  record_->on_data = [this] { transport_->Close(); };
  peer_->Send("x");
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->notified(); }));
  peer_->Shutdown();
  ASSERT_TRUE(Lost());
  EXPECT_THAT(record_->events, ElementsAre("data", "eof", "lost"));
}

TEST_P(TlsTransportTest, AbortSendsFinWithoutNotice) {
  ASSERT_THAT(transport_->Write("in the kernel"), IsOk());
  transport_->Abort();
  ASSERT_TRUE(Lost());
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->ended(); }));
  EXPECT_EQ(peer_->received(), "in the kernel");
  EXPECT_FALSE(peer_->notified());
  EXPECT_THAT(record_->events, ElementsAre("lost"));
  EXPECT_EQ(record_->end->cause, EndCause::kLocalAbort);
}

TEST_P(TlsTransportTest, AbortOvertakesTheWaitForTheAnswer) {
  transport_->Close();
  TurnWithPeer();
  transport_->Abort();
  ASSERT_TRUE(Lost());
  EXPECT_EQ(record_->end->cause, EndCause::kLocalAbort);
}

TEST_P(TlsTransportTest, DestroyedLoopCallsNobody) {
  transport_->Close();
  TurnWithPeer();
  CloseLoop();
  EXPECT_THAT(record_->events, IsEmpty());
  transport_->Abort();
}

// TLS 1.3 only: the peer wants new keys while this side cannot write, so that a read depends on room to write.
TEST_F(TlsFixture, NewKeysAreAnswered) {
  const OpensslContext context = ServerContext();
  Record& record = NewRecord();
  OpenToPeer(record, context.get());
  for (int round = 0; round < 5; ++round) {
    SSL_key_update(peer_->ssl(), SSL_KEY_UPDATE_REQUESTED);
    peer_->Send("x");
    ASSERT_TRUE(RunUntilWithPeer([&] { return record.received.size() == static_cast<size_t>(round) + 1; }));
    ASSERT_THAT(record.transport->Write("y"), IsOk());
    ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->received().size() == static_cast<size_t>(round) + 1; }));
  }
}

// Both sides are ours.

std::string Sha256(const std::string& data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(data.data(), data.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  return std::string(reinterpret_cast<char*>(digest), size);
}

struct TransferCase {
  const char* name;
  bool pauses;  // The readers pause at random.
};
class TlsTransferTest : public TlsFixture, public testing::WithParamInterface<TransferCase> {};
INSTANTIATE_TEST_SUITE_P(, TlsTransferTest,
                         testing::Values(TransferCase{"Flowing", false}, TransferCase{"Halting", true}),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(TlsTransferTest, BothWaysAtOnceWithEqualDigests) {
  constexpr size_t kBytes = 48 << 20;
  const auto server = Listen(Serving());
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(server->Sockets().front()));
  ASSERT_TRUE(RunUntil([&] { return outcome.done() && !accepted_.empty() && accepted_[0]->transport != nullptr; }));
  ASSERT_THAT(outcome.status(), IsOk());

  struct Side {
    Record* record;
    std::string data;
    size_t written = 0;
    bool paused = false;
  };
  std::deque<Side> sides;
  std::mt19937 random(7);
  for (Record* const each : {&record, accepted_[0]}) {
    Side& side = sides.emplace_back(Side{.record = each, .data = std::string(kBytes, '\0')});
    for (size_t i = 0; i + 4 <= kBytes; i += 4) {
      const auto word = static_cast<uint32_t>(random());
      std::copy_n(reinterpret_cast<const char*>(&word), 4, side.data.begin() + static_cast<ptrdiff_t>(i));
    }
    each->on_pause = [&side] { side.paused = true; };
    each->on_resume = [&side] { side.paused = false; };
    if (GetParam().pauses) {
      each->on_data = [this, each, &random] {
        if (random() % 4 != 0) return;
        each->transport->PauseReading();
        loop_->CallSoon([each] { each->transport->ResumeReading(); });
      };
    }
  }
  ASSERT_TRUE(RunUntil([&] {
    for (Side& side : sides) {
      while (!side.paused && side.written < kBytes) {
        const size_t size = std::min<size_t>(kBytes - side.written, 1 + random() % 200'000);
        EXPECT_THAT(side.record->transport->Write(std::string_view(side.data).substr(side.written, size)), IsOk());
        side.written += size;
      }
    }
    return record.received.size() >= kBytes && accepted_[0]->received.size() >= kBytes;
  }));
  EXPECT_TRUE(Sha256(accepted_[0]->received) == Sha256(sides[0].data));
  EXPECT_TRUE(Sha256(record.received) == Sha256(sides[1].data));
  record.transport->Close();
  ASSERT_TRUE(RunUntil([&] { return record.lost() && accepted_[0]->lost(); }));
  EXPECT_EQ(record.end->cause, EndCause::kLocalClose);
  EXPECT_EQ(accepted_[0]->end->cause, EndCause::kEof);
  for (const Record* each : {&record, accepted_[0]}) {
    EXPECT_THAT(each->end->status, IsOk());
    EXPECT_EQ(each->end->sent_bytes, kBytes);
    EXPECT_EQ(each->end->received_bytes, kBytes);
    EXPECT_EQ(each->end->dropped_bytes, 0u);
  }
}

TEST_F(TlsFixture, BothSidesCloseAtOnce) {
  const auto server = Listen(Serving());
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(server->Sockets().front()));
  ASSERT_TRUE(RunUntil([&] { return outcome.done() && !accepted_.empty() && accepted_[0]->transport != nullptr; }));
  record.transport->Close();
  accepted_[0]->transport->Close();
  ASSERT_TRUE(RunUntil([&] { return record.lost() && accepted_[0]->lost(); }));
  for (const Record* each : {&record, accepted_[0]}) {
    EXPECT_EQ(each->end->cause, EndCause::kLocalClose);
    EXPECT_THAT(each->end->status, IsOk());
  }
}

TEST_F(TlsFixture, ManyConnectionsLeaveNothing) {
  const auto server = Listen(Serving());
  for (int i = 0; i < 50; ++i) {
    Record& record = NewRecord();
    Outcome<Connection> outcome;
    Connect(outcome, record, To(server->Sockets().front()));
    ASSERT_TRUE(RunUntil([&] { return outcome.done() && accepted_.back()->transport != nullptr; }));
    ASSERT_THAT(outcome.status(), IsOk());
    record.transport->Close();
    ASSERT_TRUE(RunUntil([&] { return record.lost() && accepted_.back()->lost(); }));
    record.transport.reset();
    accepted_.back()->transport.reset();
  }
  EXPECT_EQ(loop_->GetCounts().transports, 0u);
}

}  // namespace
}  // namespace transportd
