#include "transports/stream/stream_transport.h"

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/stream/memory_socket.h"
#include "tests/unit/stream/recording_protocol.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class StreamTransportTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    context_ = std::make_unique<LoopContext>(reactor());
    context_->SetExceptionHandler([this](const ExceptionContext& context) { exceptions_.push_back(context); });
  }
  void TearDown() override {
    record_.transport.reset();
    other_record_.transport.reset();
    transport_.reset();
    if (context_ != nullptr) {
      Turn(2);
      context_.reset();
    }
    LoopFixture::TearDown();
  }

  // Made, and not started.
  void Make(std::shared_ptr<BaseProtocol> protocol = nullptr) {
    if (protocol == nullptr) protocol = std::make_shared<RecordingProtocol>(record_);
    SocketAddress here;
    here.path = "here";
    transport_ = StreamTransport::Create(*context_, std::make_unique<MemorySocket>(kernel_), std::move(protocol),
                                         {.extra_info = {.sockname = here, .peername = {}},
                                          .write_buffer_marks = {},
                                          .on_lost = [this](StreamTransport&) { ++on_lost_count_; }});
  }
  // Open, and nothing recorded yet.
  void Open(std::shared_ptr<BaseProtocol> protocol = nullptr) {
    Make(std::move(protocol));
    transport_->Start();
    Turn(2);
    record_.events.clear();
  }
  void SetLimits(uint64_t high, uint64_t low) {
    ASSERT_THAT(transport_->SetWriteBufferLimits({.high_bytes = high, .low_bytes = low}), IsOk());
  }
  void Write(std::string_view data) { ASSERT_THAT(transport_->Write(data), IsOk()); }

  MemoryKernel kernel_;
  Record record_;
  Record other_record_;
  std::vector<ExceptionContext> exceptions_;
  int on_lost_count_ = 0;
  std::unique_ptr<LoopContext> context_;
  std::shared_ptr<StreamTransport> transport_;
};

// Beginning.

TEST_F(StreamTransportTest, ConnectionMadeComesAfterStartReturnedAndBeforeData) {
  kernel_.Feed("waiting");
  Make();
  transport_->Start();
  EXPECT_THAT(record_.events, IsEmpty());
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("made", "data"));
  EXPECT_EQ(record_.received, "waiting");
  EXPECT_EQ(record_.transport, transport_);
}

TEST_F(StreamTransportTest, OnReadyComesAfterConnectionMadeInALaterTurnAndBeforeData) {
  kernel_.Feed("waiting");
  Make();
  transport_->Start([this](absl::Status status) {
    EXPECT_THAT(status, IsOk());
    record_.events.push_back("ready");
  });
  Turn(1);
  EXPECT_THAT(record_.events, ElementsAre("made"));
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("made", "ready", "data"));
}

TEST_F(StreamTransportTest, AbortInsideConnectionMadeStillCallsOnReady) {
  Make();
  record_.on_made = [this] { record_.transport->Abort(); };
  transport_->Start([this](absl::Status status) {
    EXPECT_THAT(status, IsOk());
    record_.events.push_back("ready");
  });
  Turn(4);
  EXPECT_THAT(record_.events, testing::UnorderedElementsAre("made", "ready", "lost"));
  EXPECT_EQ(record_.events.front(), "made");
}

TEST_F(StreamTransportTest, CloseBeforeConnectionMadeComesAfterIt) {
  Make();
  transport_->Start();
  transport_->Close();
  EXPECT_TRUE(transport_->IsClosing());
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("made", "lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalClose);
}

TEST_F(StreamTransportTest, PauseInsideConnectionMadeHolds) {
  kernel_.Feed("x");
  record_.on_made = [this] { record_.transport->PauseReading(); };
  Make();
  transport_->Start();
  Turn(4);
  EXPECT_THAT(record_.events, ElementsAre("made"));
  transport_->ResumeReading();
  Turn(1);
  EXPECT_EQ(record_.received, "x");
}

// Reading.

TEST_F(StreamTransportTest, PauseHoldsDataAndEofBackInOrder) {
  Open();
  transport_->PauseReading();
  transport_->PauseReading();
  kernel_.Feed("a");
  kernel_.FeedEof();
  Turn(3);
  EXPECT_THAT(record_.events, IsEmpty());
  EXPECT_EQ(kernel_.read_count, 0);
  transport_->ResumeReading();
  Turn(4);
  EXPECT_THAT(record_.events, ElementsAre("data", "eof", "lost"));
}

TEST_F(StreamTransportTest, PauseHoldsReadErrorsBack) {
  Open();
  transport_->PauseReading();
  kernel_.FeedError(ECONNRESET);
  Turn(3);
  EXPECT_FALSE(record_.lost());
  transport_->ResumeReading();
  Turn(3);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.end->cause, EndCause::kReset);
}

TEST_F(StreamTransportTest, WriteErrorEndsItWhilePaused) {
  Open();
  transport_->PauseReading();
  kernel_.write_errno = EPIPE;
  Write("x");
  EXPECT_FALSE(record_.lost());
  Turn(2);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.end->cause, EndCause::kBrokenPipe);
  EXPECT_THAT(record_.end->status, HasReason("EPIPE"));
  EXPECT_EQ(record_.end->dropped_bytes, 1u);
}

TEST_F(StreamTransportTest, PauseInsideDataReceivedHoldsTheNext) {
  Open();
  record_.on_data = [this] { transport_->PauseReading(); };
  kernel_.Feed("a");
  kernel_.Feed("b");
  Turn(4);
  EXPECT_EQ(record_.received, "a");
}

TEST_F(StreamTransportTest, IsReadingIsNotPausedAndNotClosing) {
  Open();
  EXPECT_TRUE(transport_->IsReading());
  transport_->PauseReading();
  EXPECT_FALSE(transport_->IsReading());
  transport_->ResumeReading();
  EXPECT_TRUE(transport_->IsReading());
  record_.keep_open = true;
  kernel_.FeedEof();
  Turn(2);
  EXPECT_TRUE(transport_->IsReading()) << "stays true after an EOF that keeps it open";
  transport_->Close();
  EXPECT_FALSE(transport_->IsReading());
}

TEST_F(StreamTransportTest, ReadErrorReportsCauseStatusAndTotals) {
  Open();
  kernel_.Feed("abc");
  Write("12");
  kernel_.FeedError(ETIMEDOUT);
  Turn(4);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.end->cause, EndCause::kTimedOut);
  EXPECT_EQ(ToTransportError(record_.end->status).errno_number, ETIMEDOUT);
  EXPECT_EQ(ToTransportError(record_.end->status).operation, "recv");
  EXPECT_EQ(record_.end->received_bytes, 3u);
  EXPECT_EQ(record_.end->sent_bytes, 2u);
  EXPECT_EQ(record_.end->dropped_bytes, 0u);
  EXPECT_THAT(exceptions_, IsEmpty()) << "an OS error is not the exception handler's matter";
}

// EOF.

TEST_F(StreamTransportTest, EofClosesWhenTheProtocolSaysFalse) {
  Open();
  kernel_.FeedEof();
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("eof", "lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kEof);
  EXPECT_THAT(record_.end->status, IsOk());
}

TEST_F(StreamTransportTest, EofFlushesWhatIsBufferedBeforeItCloses) {
  Open();
  kernel_.write_room_bytes = 1;
  Write("abc");
  kernel_.FeedEof();
  Turn(3);
  EXPECT_FALSE(record_.lost());
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_TRUE(record_.lost());
  EXPECT_EQ(kernel_.written, "abc");
  EXPECT_EQ(record_.end->cause, EndCause::kEof);
}

TEST_F(StreamTransportTest, EofThatKeepsOpenIsToldOnceAndDoesNotSpin) {
  record_.keep_open = true;
  Open();
  kernel_.FeedEof();
  Turn(5);
  EXPECT_THAT(record_.events, ElementsAre("eof"));
  EXPECT_EQ(kernel_.read_count, 1);
  transport_->PauseReading();
  transport_->ResumeReading();
  Turn(2);
  EXPECT_EQ(kernel_.read_count, 1) << "resuming does not read past the end";
  Write("still open");
  EXPECT_EQ(kernel_.written, "still open");
  transport_->Close();
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("eof", "lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kEof);
}

TEST_F(StreamTransportTest, AbortInsideEofReceivedIsNotOvertakenByTheClose) {
  Open();
  record_.on_eof = [this] { transport_->Abort(); };
  kernel_.FeedEof();
  Turn(3);
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
}

// Writing.

TEST_F(StreamTransportTest, WriteSendsAtOnceWhenNothingIsBuffered) {
  Open();
  Write("abc");
  EXPECT_EQ(kernel_.written, "abc");
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
  EXPECT_EQ(transport_->SentBytes(), 3u);
  EXPECT_THAT(record_.bytes_sent, ElementsAre(3u));
}

TEST_F(StreamTransportTest, WriteKeepsWhatTheKernelDoesNotTakeAndSendsItInOrder) {
  Open();
  kernel_.write_room_bytes = 2;
  Write("abcd");
  Write("ef");
  EXPECT_EQ(kernel_.written, "ab");
  EXPECT_EQ(transport_->GetWriteBufferSize(), 4u);
  EXPECT_EQ(kernel_.write_count, 1) << "no try while something is buffered";
  kernel_.write_room_bytes = 3;
  Turn(1);
  EXPECT_EQ(kernel_.written, "abcde");
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(1);
  EXPECT_EQ(kernel_.written, "abcdef");
  EXPECT_THAT(record_.bytes_sent, ElementsAre(2u, 5u, 6u));
  const int writes = kernel_.write_count;
  Turn(3);
  EXPECT_EQ(kernel_.write_count, writes) << "writability is not watched without need";
}

TEST_F(StreamTransportTest, WritelinesKeepsTheOrderOfManyPieces) {
  Open();
  std::vector<std::string> lines;
  std::string all;
  for (int i = 0; i < 200; ++i) {
    lines.push_back(i % 7 == 0 ? "" : std::to_string(i) + ",");
    all += lines.back();
  }
  const std::vector<std::string_view> views(lines.begin(), lines.end());
  kernel_.write_room_bytes = 101;
  EXPECT_THAT(transport_->Writelines(views), IsOk());
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(2);
  EXPECT_EQ(kernel_.written, all);
  EXPECT_THAT(transport_->Writelines({}), IsOk());
}

TEST_F(StreamTransportTest, WriteInsideBytesSentComesAfterTheRest) {
  Open();
  kernel_.write_room_bytes = 1;
  record_.on_bytes_sent = [this] {
    record_.on_bytes_sent = nullptr;
    Write("c");
  };
  Write("ab");
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(2);
  EXPECT_EQ(kernel_.written, "abc");
}

TEST_F(StreamTransportTest, WriteErrorIsToldInALaterTurnAndOnce) {
  Open();
  kernel_.write_errno = ECONNRESET;
  EXPECT_THAT(transport_->Write("abc"), IsOk());
  EXPECT_TRUE(transport_->IsClosing());
  EXPECT_THAT(record_.events, IsEmpty());
  Write("more");
  kernel_.FeedError(ECONNRESET);
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kReset);
  EXPECT_EQ(ToTransportError(record_.end->status).operation, "send");
  EXPECT_EQ(record_.end->dropped_bytes, 7u);
  EXPECT_EQ(on_lost_count_, 1);
}

// Watermarks.

TEST_F(StreamTransportTest, PausesInsideTheWriteThatGoesStrictlyOverHigh) {
  Open();
  SetLimits(4, 2);
  kernel_.write_room_bytes = 0;
  Write("1234");
  EXPECT_THAT(record_.events, IsEmpty());
  Write("5");
  EXPECT_THAT(record_.events, ElementsAre("pause"));
  Write("6");
  EXPECT_THAT(record_.events, ElementsAre("pause"));
}

TEST_F(StreamTransportTest, ResumesAtLowAndNotBefore) {
  Open();
  SetLimits(4, 2);
  kernel_.write_room_bytes = 0;
  Write("123456");
  kernel_.write_room_bytes = 3;
  Turn(1);
  EXPECT_THAT(record_.events, ElementsAre("pause"));
  kernel_.write_room_bytes = 1;
  Turn(1);
  EXPECT_THAT(record_.events, ElementsAre("pause", "resume"));
}

TEST_F(StreamTransportTest, ResumeWritingMayWriteAndClose) {
  Open();
  SetLimits(2, 0);
  kernel_.write_room_bytes = 0;
  Write("abc");
  record_.on_resume = [this] {
    Write("d");
    transport_->Close();
  };
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_EQ(kernel_.written, "abcd");
  EXPECT_THAT(record_.events, ElementsAre("pause", "resume", "lost"));
  EXPECT_EQ(record_.end->dropped_bytes, 0u);
}

TEST_F(StreamTransportTest, SetWriteBufferLimitsPausesAtOnceAndNeverResumes) {
  Open();
  kernel_.write_room_bytes = 0;
  Write("abc");
  SetLimits(2, 1);
  EXPECT_THAT(record_.events, ElementsAre("pause"));
  SetLimits(100, 50);
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("pause"));
  kernel_.write_room_bytes = 1;
  Turn(1);
  EXPECT_THAT(record_.events, ElementsAre("pause", "resume"));
}

TEST_F(StreamTransportTest, SetWriteBufferLimitsThatAreWrongChangeNothing) {
  Open();
  const WriteBufferMarks before = transport_->GetWriteBufferLimits();
  EXPECT_EQ(before, (WriteBufferMarks{.high_bytes = 65536, .low_bytes = 16384}));
  EXPECT_THAT(transport_->SetWriteBufferLimits({.high_bytes = 1, .low_bytes = 2}), HasReason("INVALID_LIMITS"));
  EXPECT_EQ(transport_->GetWriteBufferLimits(), before);
}

// Close.

TEST_F(StreamTransportTest, CloseIsLostInALaterTurn) {
  Open();
  transport_->Close();
  transport_->Close();
  EXPECT_TRUE(transport_->IsClosing());
  EXPECT_THAT(record_.events, IsEmpty());
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalClose);
  EXPECT_THAT(record_.end->status, IsOk());
  EXPECT_TRUE(kernel_.closed);
  EXPECT_FALSE(kernel_.reset_on_close);
}

TEST_F(StreamTransportTest, CloseFlushesWhatIsBuffered) {
  Open();
  kernel_.write_room_bytes = 0;
  Write("abc");
  transport_->Close();
  Turn(3);
  EXPECT_FALSE(record_.lost());
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_TRUE(record_.lost());
  EXPECT_EQ(kernel_.written, "abc");
  EXPECT_EQ(record_.end->sent_bytes, 3u);
  EXPECT_EQ(record_.end->dropped_bytes, 0u);
}

TEST_F(StreamTransportTest, CloseReadsNoMore) {
  Open();
  kernel_.write_room_bytes = 0;
  Write("x");
  kernel_.Feed("unread");
  transport_->Close();
  Turn(3);
  EXPECT_EQ(kernel_.read_count, 0);
  EXPECT_EQ(record_.received, "");
  transport_->Abort();
  Turn(2);
}

TEST_F(StreamTransportTest, WriteWhileCloseFlushesIsSent) {
  Open();
  kernel_.write_room_bytes = 0;
  Write("abc");
  transport_->Close();
  Write("def");
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_EQ(kernel_.written, "abcdef");
  EXPECT_EQ(record_.end->dropped_bytes, 0u);
}

TEST_F(StreamTransportTest, WriteAfterCloseWithAnEmptyBufferIsDroppedAndCounted) {
  Open();
  transport_->Close();
  EXPECT_THAT(transport_->Write("abc"), IsOk());
  Turn(3);
  EXPECT_EQ(kernel_.written, "");
  EXPECT_EQ(record_.end->dropped_bytes, 3u);
}

TEST_F(StreamTransportTest, ErrorWhileCloseFlushesIsTold) {
  Open();
  kernel_.write_room_bytes = 1;
  Write("abc");
  transport_->Close();
  kernel_.write_errno = EPIPE;
  Turn(3);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.end->cause, EndCause::kBrokenPipe);
  EXPECT_EQ(record_.end->sent_bytes, 1u);
  EXPECT_EQ(record_.end->dropped_bytes, 2u);
}

TEST_F(StreamTransportTest, CloseWhilePausedIsLost) {
  Open();
  transport_->PauseReading();
  kernel_.Feed("unread");
  transport_->Close();
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("lost"));
  EXPECT_THAT(record_.end->status, IsOk());
}

TEST_F(StreamTransportTest, CloseInsideDataReceivedIsTheLastData) {
  Open();
  record_.on_data = [this] { transport_->Close(); };
  kernel_.Feed("a");
  kernel_.Feed("b");
  Turn(4);
  EXPECT_EQ(record_.received, "a");
  EXPECT_THAT(record_.events, ElementsAre("data", "lost"));
}

// Abort.

TEST_F(StreamTransportTest, AbortDropsBufferedDataAndReportsConnectionLost) {
  Open();
  kernel_.write_room_bytes = 1;
  Write("abc");
  transport_->Abort();
  transport_->Abort();
  EXPECT_THAT(record_.events, IsEmpty());
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
  EXPECT_THAT(record_.end->status, IsOk());
  EXPECT_EQ(record_.end->sent_bytes, 1u);
  EXPECT_EQ(record_.end->dropped_bytes, 2u);
  EXPECT_FALSE(kernel_.reset_on_close);
}

TEST_F(StreamTransportTest, AbortOvertakesAFlushingClose) {
  Open();
  kernel_.write_room_bytes = 0;
  Write("abc");
  transport_->Close();
  transport_->Abort(/*reset=*/true);
  Turn(3);
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
  EXPECT_EQ(record_.end->dropped_bytes, 3u);
  EXPECT_TRUE(kernel_.reset_on_close);
}

TEST_F(StreamTransportTest, FailTellsItsCause) {
  Open();
  transport_->Fail(EndCause::kPolicyRevoked, absl::PermissionDeniedError("no more"));
  Turn(2);
  EXPECT_EQ(record_.end->cause, EndCause::kPolicyRevoked);
  EXPECT_THAT(record_.end->status, StatusIs(absl::StatusCode::kPermissionDenied));
}

// WriteEof.

TEST_F(StreamTransportTest, WriteEofFollowsWhatIsBufferedAndReadingGoesOn) {
  Open();
  EXPECT_TRUE(transport_->CanWriteEof());
  kernel_.write_room_bytes = 0;
  Write("abc");
  transport_->WriteEof();
  transport_->WriteEof();
  Turn(2);
  EXPECT_EQ(kernel_.shutdown_count, 0);
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_EQ(kernel_.written, "abc");
  EXPECT_EQ(kernel_.shutdown_count, 1);
  kernel_.Feed("answer");
  Turn(1);
  EXPECT_EQ(record_.received, "answer");
  EXPECT_FALSE(transport_->IsClosing());
}

TEST_F(StreamTransportTest, WriteEofWithNothingBufferedIsSentAtOnce) {
  Open();
  transport_->WriteEof();
  EXPECT_EQ(kernel_.shutdown_count, 1);
}

TEST_F(StreamTransportTest, WriteAfterWriteEofIsRefusedEvenWhenEmpty) {
  Open();
  transport_->WriteEof();
  for (const std::string_view data : {"x", ""}) {
    const absl::Status status = transport_->Write(data);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(status, HasReason("WRITE_AFTER_EOF"));
  }
  EXPECT_THAT(transport_->Writelines({}), HasReason("WRITE_AFTER_EOF"));
}

TEST_F(StreamTransportTest, WriteEofAfterCloseDoesNothing) {
  Open();
  kernel_.write_room_bytes = 0;
  Write("x");
  transport_->Close();
  transport_->WriteEof();
  EXPECT_THAT(transport_->Write("y"), IsOk());
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_EQ(kernel_.written, "xy");
  EXPECT_EQ(kernel_.shutdown_count, 0);
}

TEST_F(StreamTransportTest, WriteEofInsideResumeWritingIsSentOnce) {
  Open();
  SetLimits(0, 0);
  kernel_.write_room_bytes = 0;
  Write("x");
  record_.on_resume = [this] { transport_->WriteEof(); };
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_EQ(kernel_.shutdown_count, 1);
}

TEST_F(StreamTransportTest, FailedWriteEofEndsIt) {
  Open();
  kernel_.shutdown_errno = ECONNRESET;
  transport_->WriteEof();
  Turn(2);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.end->cause, EndCause::kReset);
}

// What a socket has that its descriptor does not show.

TEST_F(StreamTransportTest, DataInsideTheSocketIsReadOnceATurnWithoutAnEvent) {
  Open();
  kernel_.Feed("a");
  kernel_.hides = true;
  kernel_.Feed("b");
  kernel_.Feed("c");
  for (int turn = 1; turn <= 3; ++turn) {
    Turn(1);
    EXPECT_EQ(kernel_.read_count, turn) << "one read a turn";
  }
  EXPECT_EQ(record_.received, "abc");
  Turn(3);
  EXPECT_EQ(kernel_.read_count, 3);
}

TEST_F(StreamTransportTest, PauseHoldsDataInsideTheSocketBack) {
  Open();
  record_.on_data = [this] { transport_->PauseReading(); };
  kernel_.Feed("a");
  kernel_.hides = true;
  kernel_.Feed("b");
  kernel_.FeedEof();
  Turn(4);
  EXPECT_EQ(record_.received, "a");
  transport_->ResumeReading();
  EXPECT_EQ(record_.received, "a") << "not inside ResumeReading";
  Turn(2);
  EXPECT_EQ(record_.received, "ab");
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("data")) << "paused again";
  record_.on_data = nullptr;
  transport_->ResumeReading();
  Turn(4);
  EXPECT_THAT(record_.events, ElementsAre("data", "eof", "lost"));
}

TEST_F(StreamTransportTest, QueuedReadOfATransportThatIsGoneDoesNothing) {
  Open();
  kernel_.Feed("a");
  kernel_.hides = true;
  kernel_.Feed("b");
  record_.on_data = [this] { transport_->Abort(); };
  Turn(1);
  transport_.reset();
  record_.transport.reset();
  Turn(4);
  EXPECT_EQ(record_.received, "a");
  EXPECT_THAT(record_.events, ElementsAre("data", "lost"));
}

TEST_F(StreamTransportTest, ReadThatWaitsForRoomGoesOnWhenThereIsSome) {
  Open();
  kernel_.results.push_back(IoResult::WouldBlock(IoResult::Wait::kWritable));
  kernel_.Feed("late");
  Turn(1);
  EXPECT_EQ(record_.received, "");
  Turn(1);
  EXPECT_EQ(record_.received, "late") << "an eventfd is always writable";
}

TEST_F(StreamTransportTest, WriteThatWaitsForDataGoesOnWhenItComes) {
  Open();
  kernel_.write_waits_readable = true;
  Write("abc");
  Turn(3);
  EXPECT_EQ(kernel_.write_count, 1) << "writability is not what it waits for";
  kernel_.write_waits_readable = false;
  kernel_.Feed("x");
  Turn(2);
  EXPECT_EQ(kernel_.written, "abc");
  EXPECT_EQ(record_.received, "x");
}

// Handshake.

TEST_F(StreamTransportTest, HandshakeComesBeforeConnectionMade) {
  kernel_.traits.handshake_timeout = std::chrono::seconds(60);
  kernel_.handshake = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  kernel_.hides = true;
  kernel_.Feed("came with it");
  Make();
  kernel_.hides = false;
  transport_->Start([this](absl::Status status) {
    EXPECT_THAT(status, IsOk());
    record_.events.push_back("ready");
  });
  Turn(3);
  EXPECT_EQ(kernel_.handshake_count, 1);
  EXPECT_THAT(record_.events, IsEmpty());
  kernel_.Signal();
  Turn(6);
  EXPECT_THAT(record_.events, ElementsAre("made", "ready", "data"));
  EXPECT_EQ(record_.received, "came with it");
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
}

TEST_F(StreamTransportTest, HandshakeThatFailsIsToldToTheStarterAlone) {
  kernel_.traits.handshake_timeout = std::chrono::seconds(60);
  kernel_.handshake = {IoResult::WouldBlock(IoResult::Wait::kWritable),
                       IoResult::Failed(EndCause::kTlsError, absl::AbortedError("no"))};
  Make();
  absl::Status told;
  transport_->Start([&](absl::Status status) { told = std::move(status); });
  Turn(4);
  EXPECT_THAT(told, StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(record_.events, IsEmpty());
  EXPECT_TRUE(kernel_.closed);
  EXPECT_EQ(on_lost_count_, 1);
  EXPECT_EQ(context_->transports().size(), 0u);
}

TEST_F(StreamTransportTest, HandshakeThatTakesTooLongEndsIt) {
  kernel_.traits.handshake_timeout = std::chrono::milliseconds(1);
  kernel_.handshake = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  Make();
  absl::Status told;
  transport_->Start([&](absl::Status status) { told = std::move(status); });
  ASSERT_TRUE(RunUntil([&] { return !told.ok(); }));
  EXPECT_THAT(told, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(told, HasReason("HANDSHAKE_TIMEOUT"));
  EXPECT_THAT(record_.events, IsEmpty());
}

TEST_F(StreamTransportTest, CloseDuringTheHandshakeEndsItAndTheProtocolHearsNothing) {
  kernel_.traits.handshake_timeout = std::chrono::seconds(60);
  kernel_.handshake = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  for (const int turns : {0, 2}) {
    Make();
    absl::Status told;
    transport_->Start([&](absl::Status status) { told = std::move(status); });
    Turn(turns);
    EXPECT_FALSE(transport_->IsClosing());
    transport_->Close();
    EXPECT_TRUE(transport_->IsClosing());
    Turn(2);
    EXPECT_THAT(told, HasReason("CANCELLED"));
    EXPECT_THAT(record_.events, IsEmpty());
  }
  EXPECT_EQ(kernel_.leave_count, 0);
}

// Leave.

TEST_F(StreamTransportTest, CloseTakesLeaveAfterFlushingAndTellsThePeersLeave) {
  kernel_.traits.shutdown_timeout = std::chrono::seconds(30);
  kernel_.shutdown = {IoResult::WouldBlock(IoResult::Wait::kReadable), IoResult::Eof()};
  Open();
  kernel_.write_room_bytes = 0;
  Write("abc");
  transport_->Close();
  Turn(2);
  EXPECT_EQ(kernel_.leave_count, 0);
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(3);
  EXPECT_EQ(kernel_.leave_count, 1);
  Write("dropped");
  EXPECT_FALSE(record_.lost());
  kernel_.Signal();
  Turn(3);
  EXPECT_EQ(kernel_.written, "abc");
  EXPECT_THAT(record_.events, ElementsAre("eof", "lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalClose);
  EXPECT_EQ(record_.end->dropped_bytes, 7u);
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
}

TEST_F(StreamTransportTest, LeaveThatIsInsideTheSocketIsFound) {
  IoResult first = IoResult::WouldBlock(IoResult::Wait::kReadable);
  first.more = true;
  kernel_.traits.shutdown_timeout = std::chrono::seconds(30);
  kernel_.shutdown = {first, IoResult::Eof()};
  Open();
  transport_->PauseReading();
  transport_->Close();
  EXPECT_THAT(record_.events, IsEmpty());
  Turn(4);
  EXPECT_THAT(record_.events, ElementsAre("eof", "lost"));
}

TEST_F(StreamTransportTest, LeaveThatIsNotAnsweredTimesOut) {
  kernel_.traits.shutdown_timeout = std::chrono::milliseconds(1);
  kernel_.shutdown = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  Open();
  transport_->Close();
  ASSERT_TRUE(RunUntil([&] { return record_.lost(); }));
  EXPECT_EQ(record_.end->cause, EndCause::kTimedOut);
  EXPECT_THAT(record_.end->status, HasReason("SHUTDOWN_TIMEOUT"));
  EXPECT_THAT(record_.events, ElementsAre("lost"));
}

TEST_F(StreamTransportTest, AbortOvertakesTheLeave) {
  kernel_.traits.shutdown_timeout = std::chrono::seconds(30);
  kernel_.shutdown = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  Open();
  transport_->Close();
  transport_->Abort();
  Turn(2);
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
}

TEST_F(StreamTransportTest, EofThatClosesIsToldOnceAndItsCauseKept) {
  kernel_.traits.eof_closes = true;
  record_.keep_open = true;
  Open();
  kernel_.results.push_back(IoResult::Eof(EndCause::kRaggedEof));
  kernel_.Signal();
  Turn(4);
  EXPECT_THAT(record_.events, ElementsAre("eof", "lost"));
  EXPECT_EQ(record_.end->cause, EndCause::kRaggedEof);
  EXPECT_THAT(record_.end->status, IsOk());
}

// Layers.

// What a MemoryLayer's sockets do and did.
struct LayerScript {
  std::deque<IoResult> handshake;  // What the steps come to; empty: done.
  std::string written;
  int wrap_count = 0;
};

class MemoryLayerSocket final : public StreamSocket {
 public:
  MemoryLayerSocket(LayerScript& script, std::unique_ptr<StreamSocket> lower)
      : script_(script), lower_(std::move(lower)) {}

  StreamTraits Traits() const override {
    return {.write_buffer_marks = {.high_bytes = 8, .low_bytes = 4}, .handshake_timeout = std::chrono::seconds(60)};
  }
  int fd() const override { return lower_->fd(); }
  IoResult DoHandshake() override {
    if (script_.handshake.empty()) return IoResult::Bytes(0);
    IoResult result = script_.handshake.front();
    script_.handshake.pop_front();
    return result;
  }
  void AddExtraInfo(ExtraInfo& extra_info) const override { extra_info.tls = std::make_shared<TlsInfo>(); }
  IoResult DoRead(std::span<char> buffer) override { return lower_->DoRead(buffer); }
  IoResult DoWrite(std::span<const iovec> pieces) override {
    IoResult result = lower_->DoWrite(pieces);
    if (result.kind == IoResult::Kind::kBytes) {
      script_.written.append(static_cast<const char*>(pieces[0].iov_base), result.size_bytes);
    }
    return result;
  }
  bool CanWriteEof() const override { return false; }
  IoResult ShutdownWrite() override { return IoResult::Bytes(0); }
  void ResetOnClose() override { lower_->ResetOnClose(); }

 private:
  LayerScript& script_;
  const std::unique_ptr<StreamSocket> lower_;
};

class MemoryLayer final : public StreamLayer {
 public:
  explicit MemoryLayer(LayerScript& script) : script_(script) {}
  std::unique_ptr<StreamSocket> Wrap(std::unique_ptr<StreamSocket> lower, const ExtraInfo&) const override {
    ++script_.wrap_count;
    return std::make_unique<MemoryLayerSocket>(script_, std::move(lower));
  }

 private:
  LayerScript& script_;
};

class StreamTransportLayerTest : public StreamTransportTest {
 protected:
  void Begin() {
    ASSERT_THAT(transport_->BeginLayer([this](absl::Status status) {
      layer_status_ = std::move(status);
      record_.events.push_back("layer");
    }),
                IsOk());
  }

  LayerScript script_;
  const std::shared_ptr<MemoryLayer> layer_ = std::make_shared<MemoryLayer>(script_);
  absl::Status layer_status_ = absl::UnknownError("not called");
};

TEST_F(StreamTransportLayerTest, WhatWasWrittenBeforeGoesOutPlainAndWhatComesAfterThroughIt) {
  Open();
  kernel_.write_room_bytes = 1;
  Write("ab");
  Begin();
  transport_->SetLayer(layer_);
  Write("cdefgh");
  kernel_.Feed("x");
  script_.handshake = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  Turn(3);
  EXPECT_EQ(script_.wrap_count, 0) << "a byte is still to be sent";
  EXPECT_EQ(record_.received, "");
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  Turn(6);
  EXPECT_EQ(kernel_.written, "abcdefgh");
  EXPECT_EQ(script_.written, "cdefgh");
  EXPECT_EQ(record_.received, "x");
  EXPECT_THAT(record_.events, ElementsAre("layer", "data"));
  EXPECT_THAT(layer_status_, IsOk());
  EXPECT_EQ(transport_->SentBytes(), 8u);
  EXPECT_NE(transport_->GetExtraInfo().tls, nullptr);
  EXPECT_EQ(transport_->GetWriteBufferLimits(), (WriteBufferMarks{.high_bytes = 8, .low_bytes = 4}));
  EXPECT_FALSE(transport_->CanWriteEof());
  transport_->Close();
  Turn(3);
  EXPECT_FALSE(transport_->CanWriteEof()) << "also when it is lost";
}

TEST_F(StreamTransportLayerTest, HandshakeBeginsInALaterTurn) {
  Open();
  script_.handshake = {IoResult::Failed(EndCause::kTlsAlert, absl::AbortedError("no"))};
  Begin();
  transport_->SetLayer(layer_);
  EXPECT_THAT(record_.events, IsEmpty());
  Write("never sent");
  Turn(3);
  EXPECT_THAT(record_.events, ElementsAre("layer", "lost"));
  EXPECT_THAT(layer_status_, StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(record_.end->cause, EndCause::kTlsAlert);
  EXPECT_EQ(record_.end->dropped_bytes, 10u);
}

TEST_F(StreamTransportLayerTest, CloseDuringTheHandshakeEndsItAtOnce) {
  Open();
  script_.handshake = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  Begin();
  transport_->SetLayer(layer_);
  Turn(2);
  transport_->Close();
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("layer", "lost"));
  EXPECT_THAT(layer_status_, HasReason("CANCELLED"));
  EXPECT_EQ(record_.end->cause, EndCause::kLocalClose);
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
}

TEST_F(StreamTransportLayerTest, DestroyedLoopCallsNobody) {
  Open();
  script_.handshake = {IoResult::WouldBlock(IoResult::Wait::kReadable)};
  Begin();
  transport_->SetLayer(layer_);
  Turn(1);
  context_.reset();
  EXPECT_THAT(record_.events, IsEmpty());
}

TEST_F(StreamTransportLayerTest, CancelledLayerLeavesTheTransportAsItWas) {
  Open();
  Begin();
  kernel_.Feed("x");
  Write("abc");
  Turn(3);
  EXPECT_EQ(record_.received, "");
  EXPECT_EQ(kernel_.written, "") << "it may have been meant for the layer";
  transport_->CancelLayer();
  Turn(2);
  EXPECT_EQ(record_.received, "x");
  EXPECT_EQ(kernel_.written, "abc");
  EXPECT_THAT(record_.events, ElementsAre("data"));
}

TEST_F(StreamTransportLayerTest, OnlyAnOpenTransportTakesALayer) {
  Open();
  Begin();
  EXPECT_THAT(transport_->BeginLayer([](absl::Status) {}), HasReason("START_TLS_IMPOSSIBLE"));
  transport_->CancelLayer();
  transport_->WriteEof();
  EXPECT_THAT(transport_->BeginLayer([](absl::Status) {}), HasReason("START_TLS_IMPOSSIBLE"));
  transport_->Close();
  EXPECT_THAT(transport_->BeginLayer([](absl::Status) {}), HasReason("START_TLS_IMPOSSIBLE"));
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("lost"));
}

TEST_F(StreamTransportLayerTest, AbortWhileTheLayerIsAwaitedTellsBoth) {
  Open();
  Begin();
  transport_->Abort();
  transport_->SetLayer(layer_);
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("layer", "lost"));
  EXPECT_THAT(layer_status_, HasReason("CANCELLED"));
}

// Protocols.

TEST_F(StreamTransportTest, BufferedProtocolIsToldInPairs) {
  auto protocol = std::make_shared<RecordingBufferedProtocol>(record_, 4);
  Open(protocol);
  kernel_.Feed("abcdef");
  kernel_.FeedEof();
  Turn(4);
  EXPECT_EQ(record_.received, "abcdef");
  EXPECT_THAT(protocol->updates, ElementsAre(4u, 2u));
  EXPECT_EQ(protocol->get_buffer_count, 3u) << "the EOF too was preceded by one";
  EXPECT_THAT(record_.events, ElementsAre("data", "eof", "lost"));
}

TEST_F(StreamTransportTest, EmptyBufferAbortsAndIsReported) {
  Open(std::make_shared<RecordingBufferedProtocol>(record_, 0));
  kernel_.Feed("abc");
  Turn(3);
  ASSERT_TRUE(record_.lost());
  EXPECT_EQ(record_.end->cause, EndCause::kLocalAbort);
  EXPECT_THAT(record_.end->status, HasReason("EMPTY_BUFFER"));
  ASSERT_EQ(exceptions_.size(), 1u);
  EXPECT_THAT(exceptions_[0].status, HasReason("EMPTY_BUFFER"));
  EXPECT_EQ(kernel_.read_count, 0);
}

TEST_F(StreamTransportTest, SetProtocolInsideDataReceivedTakesTheNextCallback) {
  Open();
  std::weak_ptr<BaseProtocol> old = transport_->GetProtocol();
  auto next = std::make_shared<RecordingBufferedProtocol>(other_record_, 16);
  record_.on_data = [&] {
    transport_->SetProtocol(next);
    EXPECT_FALSE(old.expired()) << "what is being called stays alive";
  };
  kernel_.Feed("first");
  kernel_.Feed("second");
  kernel_.FeedEof();
  Turn(5);
  EXPECT_EQ(record_.received, "first");
  EXPECT_TRUE(old.expired());
  EXPECT_EQ(other_record_.received, "second");
  EXPECT_THAT(record_.events, ElementsAre("data"));
  EXPECT_THAT(other_record_.events, ElementsAre("data", "eof", "lost"));
}

TEST_F(StreamTransportTest, SetProtocolSwitchesFromBufferedToPlain) {
  Open(std::make_shared<RecordingBufferedProtocol>(record_, 16));
  transport_->SetProtocol(std::make_shared<RecordingProtocol>(other_record_));
  kernel_.Feed("plain");
  Turn(2);
  EXPECT_EQ(other_record_.received, "plain");
}

TEST_F(StreamTransportTest, LostTransportAnswersAndDoesNothing) {
  Open();
  transport_->Close();
  Turn(3);
  transport_->Close();
  transport_->Abort(true);
  transport_->PauseReading();
  transport_->ResumeReading();
  transport_->WriteEof();
  transport_->SetProtocol(std::make_shared<RecordingProtocol>(other_record_));
  EXPECT_THAT(transport_->Write("x"), IsOk());
  EXPECT_TRUE(transport_->IsClosing());
  EXPECT_FALSE(transport_->IsReading());
  EXPECT_EQ(transport_->GetProtocol(), nullptr);
  EXPECT_EQ(transport_->GetExtraInfo().sockname->path, "here");
  EXPECT_THAT(transport_->SetWriteBufferLimits({}), IsOk());
  transport_->Getsockopt(SocketOption::kSoType,
                         [](absl::StatusOr<int> value) { EXPECT_THAT(value, HasReason("TRANSPORT_LOST")); });
  transport_->Setsockopt(SocketOption::kSoKeepalive, 1,
                         [](absl::Status status) { EXPECT_THAT(status, HasReason("TRANSPORT_LOST")); });
  Turn(2);
  EXPECT_THAT(record_.events, ElementsAre("lost"));
}

TEST_F(StreamTransportTest, LostTransportLetsGoOfItsProtocolAndTheLoopOfIt) {
  auto protocol = std::make_shared<RecordingProtocol>(record_);
  const std::weak_ptr<RecordingProtocol> weak_protocol = protocol;
  Open(std::move(protocol));
  const std::weak_ptr<StreamTransport> weak_transport = transport_;
  transport_.reset();
  record_.transport.reset();
  EXPECT_FALSE(weak_transport.expired()) << "the loop holds what is open";
  weak_transport.lock()->Close();
  Turn(3);
  EXPECT_TRUE(weak_protocol.expired());
  EXPECT_TRUE(weak_transport.expired());
  EXPECT_EQ(context_->transports().size(), 0u);
}

TEST_F(StreamTransportTest, DestroyedLoopClosesTheSocketAndCallsNobody) {
  Open();
  kernel_.write_room_bytes = 0;
  Write("abc");
  transport_->Close();
  const std::weak_ptr<BaseProtocol> protocol = transport_->GetProtocol();
  context_.reset();
  EXPECT_TRUE(kernel_.closed);
  EXPECT_TRUE(protocol.expired());
  EXPECT_THAT(transport_->Write("more"), IsOk());
  transport_->Abort();
  transport_->Close();
  EXPECT_THAT(record_.events, IsEmpty());
  EXPECT_EQ(on_lost_count_, 0);
}

}  // namespace
}  // namespace transportd
