#include "transports/sendfile/sendfile_operation.h"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/held_executor.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/stream/memory_socket.h"
#include "tests/unit/stream/recording_protocol.h"
#include "transports/api/error.h"
#include "transports/stream/connected_socket.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::ElementsAre;

// `size_bytes` that repeat nowhere soon.
std::string Content(size_t size_bytes) {
  std::string content(size_bytes, '\0');
  uint32_t state = 1;
  for (char& byte : content) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return content;
}

// One sendfile, and what came of it.
struct Sending {
  std::shared_ptr<SendfileOperation> operation;
  std::optional<absl::StatusOr<uint64_t>> result;
  int done_count = 0;
  std::function<void()> on_done;

  bool done() const { return result.has_value(); }
  absl::Status status() const { return result ? result->status() : absl::UnknownError("not done"); }
  uint64_t sent_bytes() const {
    if (!result) return 0;
    return result->ok() ? **result : ToTransportError(result->status()).sent_bytes;
  }
};

class SendfileTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    context_ = std::make_unique<LoopContext>(reactor());
    loop_executor_ = std::make_unique<LoopExecutor>(reactor(), executor_);
  }
  void TearDown() override {
    sendings_.clear();
    if (transport_ != nullptr) transport_->Abort();
    Turn(3);
    record_.transport.reset();
    transport_.reset();
    loop_executor_.reset();
    context_.reset();
    LoopFixture::TearDown();
  }

  // A TCP transport, started, and its peer.
  void OpenTcp() {
    TcpPair pair = MakeTcpPair();
    peer_ = RawPeer(std::move(pair.second));
    Start(MakeConnectedSocketTransport(*context_, std::move(pair.first), std::make_shared<RecordingProtocol>(record_),
                                       {.on_lost = nullptr}));
  }
  // One that cannot send files by itself.
  void OpenMemory() {
    Start(StreamTransport::Create(*context_, std::make_unique<MemorySocket>(kernel_),
                                  std::make_shared<RecordingProtocol>(record_),
                                  {.extra_info = {}, .write_buffer_marks = {}, .on_lost = nullptr}));
  }
  void Start(std::shared_ptr<StreamTransport> transport) {
    transport_ = std::move(transport);
    transport_->Start();
    Turn(2);
    record_.events.clear();
  }

  Sending& Send(SendfileOptions options) {
    Sending& sending = *sendings_.emplace_back(std::make_unique<Sending>());
    sending.operation = std::make_shared<SendfileOperation>(*context_, *loop_executor_, transport_, std::move(options),
                                                            [&sending](absl::StatusOr<uint64_t> result) {
                                                              ++sending.done_count;
                                                              sending.result = std::move(result);
                                                              if (sending.on_done) sending.on_done();
                                                            });
    sending.operation->Start();
    EXPECT_FALSE(sending.done()) << "never at once";
    return sending;
  }
  // Turns the loop, runs the executor and reads at the peer until `condition` holds.
  bool Run(const std::function<bool()>& condition) {
    return RunUntil([&] {
      executor_.RunAll();
      if (peer_.valid() && peer_reads_) peer_.Poll();
      return condition();
    });
  }

  TempDir directory_;
  HeldExecutor executor_;
  Record record_;
  MemoryKernel kernel_;
  RawPeer peer_;
  bool peer_reads_ = true;
  std::unique_ptr<LoopContext> context_;
  std::unique_ptr<LoopExecutor> loop_executor_;
  std::shared_ptr<StreamTransport> transport_;
  std::vector<std::unique_ptr<Sending>> sendings_;
};

TEST_F(SendfileTest, ComesAfterWhatWasWrittenBeforeAndBeforeWhatIsWrittenAfter) {
  OpenTcp();
  const std::string before = Content(3'000'000);
  const std::string content = Content(5'000'003);
  EXPECT_THAT(transport_->Write(before), IsOk());
  Sending& sending = Send({.path = directory_.WriteFile("f", content)});
  sending.on_done = [this] { EXPECT_THAT(transport_->Write("after"), IsOk()); };
  const size_t total_bytes = before.size() + content.size() + 5;
  ASSERT_TRUE(Run([&] { return peer_.received().size() >= total_bytes; }));
  ASSERT_THAT(sending.status(), IsOk());
  EXPECT_EQ(sending.sent_bytes(), content.size());
  EXPECT_TRUE(peer_.received() == before + content + "after");
  EXPECT_EQ(transport_->SentBytes(), total_bytes);
  ASSERT_FALSE(record_.bytes_sent.empty());
  EXPECT_EQ(record_.bytes_sent.back(), before.size() + 5) << "of what Write was given";
}

TEST_F(SendfileTest, OffsetAndCount) {
  OpenTcp();
  const std::string content = Content(1'500'000);
  const std::string path = directory_.WriteFile("f", content);
  struct {
    uint64_t offset_bytes;
    std::optional<uint64_t> count_bytes;
    std::string expected;
  } const cases[] = {
      {0, 1, content.substr(0, 1)},
      {7, {}, content.substr(7)},
      {1'000'000, 300'000, content.substr(1'000'000, 300'000)},
      {1'400'000, 300'000, content.substr(1'400'000)},
      {0, UINT64_MAX, content},
      {1'500'000, {}, ""},
      {INT64_MAX, UINT64_MAX, ""},
      {INT64_MAX - 1, {}, ""},
  };
  std::string expected;
  for (const auto& one : cases) {
    Sending& sending = Send({.path = path, .offset_bytes = one.offset_bytes, .count_bytes = one.count_bytes});
    ASSERT_TRUE(Run([&] { return sending.done(); }));
    ASSERT_THAT(sending.status(), IsOk()) << one.offset_bytes;
    EXPECT_EQ(sending.sent_bytes(), one.expected.size()) << one.offset_bytes;
    expected += one.expected;
  }
  ASSERT_TRUE(Run([&] { return peer_.received().size() >= expected.size(); }));
  EXPECT_TRUE(peer_.received() == expected);
}

TEST_F(SendfileTest, EmptyFileIsSentWhenWhatWasWrittenBeforeIs) {
  OpenTcp();
  peer_reads_ = false;
  EXPECT_THAT(transport_->Write(Content(20'000'000)), IsOk());
  Sending& sending = Send({.path = directory_.WriteFile("f", "")});
  for (int i = 0; i < 20; ++i) {
    executor_.RunAll();
    Turn();
  }
  EXPECT_FALSE(sending.done());
  peer_reads_ = true;
  ASSERT_TRUE(Run([&] { return sending.done(); }));
  EXPECT_THAT(sending.status(), IsOk());
  EXPECT_EQ(sending.sent_bytes(), 0u);
  EXPECT_EQ(transport_->GetWriteBufferSize(), 0u);
}

TEST_F(SendfileTest, BareWritesAreRefusedMeanwhile) {
  OpenTcp();
  Sending& sending = Send({.path = directory_.WriteFile("f", "file")});
  EXPECT_THAT(transport_->Write("bare"),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition), HasReason("SENDFILE_IN_PROGRESS")));
  EXPECT_THAT(transport_->Write(""), IsOk()) << "as asyncio: nothing is nothing";
  Sending& second = Send({.path = directory_.Path("f")});
  ASSERT_TRUE(Run([&] { return second.done(); }));
  EXPECT_THAT(second.status(), HasReason("SENDFILE_IN_PROGRESS"));
  ASSERT_TRUE(Run([&] { return sending.done(); })) << "the first one goes on";
  EXPECT_THAT(sending.status(), IsOk());
  EXPECT_THAT(transport_->Write("."), IsOk());
  ASSERT_TRUE(Run([&] { return peer_.received() == "file."; }));
}

TEST_F(SendfileTest, ReadingRestsMeanwhile) {
  OpenTcp();
  Sending& sending = Send({.path = directory_.WriteFile("f", "file")});
  ASSERT_TRUE(peer_.Send("hello"));
  Turn(5);
  EXPECT_EQ(record_.received, "");
  ASSERT_TRUE(Run([&] { return sending.done() && record_.received == "hello"; }));
}

TEST_F(SendfileTest, ReadingThatWasPausedStaysPaused) {
  OpenTcp();
  transport_->PauseReading();
  Sending& sending = Send({.path = directory_.WriteFile("f", "file")});
  ASSERT_TRUE(peer_.Send("hello"));
  ASSERT_TRUE(Run([&] { return sending.done(); }));
  Turn(5);
  EXPECT_EQ(record_.received, "");
  transport_->ResumeReading();
  ASSERT_TRUE(Run([&] { return record_.received == "hello"; }));
}

TEST_F(SendfileTest, CloseFlushesTheFile) {
  OpenTcp();
  const std::string content = Content(5'000'000);
  Sending& sending = Send({.path = directory_.WriteFile("f", content)});
  transport_->Close();
  EXPECT_TRUE(transport_->IsClosing());
  sending.on_done = [this] { EXPECT_FALSE(record_.lost()); };
  ASSERT_TRUE(Run([&] { return record_.lost() && peer_.eof(); }));
  EXPECT_THAT(sending.status(), IsOk());
  EXPECT_TRUE(peer_.received() == content);
  EXPECT_EQ(record_.end->cause, EndCause::kLocalClose);
  EXPECT_EQ(record_.end->sent_bytes, content.size());
  EXPECT_EQ(record_.end->dropped_bytes, 0u);
}

TEST_F(SendfileTest, WriteEofComesAfterTheFile) {
  OpenTcp();
  const std::string content = Content(5'000'000);
  Sending& sending = Send({.path = directory_.WriteFile("f", content)});
  transport_->WriteEof();
  ASSERT_TRUE(Run([&] { return peer_.eof(); }));
  EXPECT_THAT(sending.status(), IsOk());
  EXPECT_TRUE(peer_.received() == content);
  ASSERT_TRUE(peer_.Send("still"));
  ASSERT_TRUE(Run([&] { return record_.received == "still"; }));
}

TEST_F(SendfileTest, AbortEndsItAndTellsHowMuchWasSent) {
  OpenTcp();
  peer_reads_ = false;
  const std::string content = Content(50'000'000);
  Sending& sending = Send({.path = directory_.WriteFile("f", content)});
  ASSERT_TRUE(Run([&] { return transport_->SentBytes() > 0; }));
  transport_->Abort();
  ASSERT_TRUE(Run([&] { return record_.lost(); }));
  EXPECT_THAT(sending.status(), AllOf(StatusIs(absl::StatusCode::kFailedPrecondition), HasReason("TRANSPORT_LOST")));
  EXPECT_EQ(sending.done_count, 1);
  EXPECT_TRUE(peer_.RecvToEof());
  EXPECT_TRUE(peer_.received() == content.substr(0, sending.sent_bytes()));
  EXPECT_EQ(record_.end->sent_bytes, sending.sent_bytes());
}

TEST_F(SendfileTest, PeerThatGoesAwayIsAConnectionErrorAndNoSignal) {
  OpenTcp();
  peer_reads_ = false;
  Sending& sending = Send({.path = directory_.WriteFile("f", Content(50'000'000))});
  ASSERT_TRUE(Run([&] { return transport_->SentBytes() > 0; }));
  peer_.Reset();
  ASSERT_TRUE(Run([&] { return sending.done(); }));
  EXPECT_THAT(sending.status(), testing::AnyOf(HasReason("ECONNRESET"), HasReason("EPIPE")));
  EXPECT_EQ(ToTransportError(sending.status()).operation, "sendfile");
  EXPECT_GT(sending.sent_bytes(), 0u);
  EXPECT_TRUE(transport_->IsClosing());
  ASSERT_TRUE(Run([&] { return record_.lost(); }));
  EXPECT_FALSE(record_.end->status.ok());
  EXPECT_EQ(record_.end->sent_bytes, sending.sent_bytes());
}

TEST_F(SendfileTest, CancelLeavesTheTransportInOrder) {
  OpenTcp();
  peer_reads_ = false;
  const std::string content = Content(50'000'000);
  Sending& sending = Send({.path = directory_.WriteFile("f", content)});
  ASSERT_TRUE(Run([&] { return transport_->SentBytes() > 0; }));
  sending.operation->Cancel();
  EXPECT_FALSE(sending.done());
  EXPECT_THAT(transport_->Write("after"), IsOk());
  Turn(2);
  EXPECT_THAT(sending.status(), HasReason("CANCELLED"));
  transport_->Close();
  peer_reads_ = true;
  ASSERT_TRUE(Run([&] { return peer_.eof(); }));
  EXPECT_TRUE(peer_.received() == content.substr(0, sending.sent_bytes()) + "after");
}

TEST_F(SendfileTest, CancelBeforeTheFileIsOpen) {
  OpenTcp();
  Sending& sending = Send({.path = directory_.WriteFile("f", "file")});
  sending.operation->Cancel();
  sending.operation->Cancel();
  executor_.RunAll();
  Turn(3);
  EXPECT_THAT(sending.status(), HasReason("CANCELLED"));
  EXPECT_EQ(sending.sent_bytes(), 0u);
  EXPECT_EQ(sending.done_count, 1);
  EXPECT_THAT(transport_->Write("x"), IsOk());
}

TEST_F(SendfileTest, ReadsNoFurtherAheadThanAWindow) {
  OpenTcp();
  peer_reads_ = false;
  Sending& sending = Send({.path = directory_.WriteFile("f", Content(50'000'000))});
  uint64_t sent_bytes = 0;
  // Until the socket is full: 20 turns without a byte.
  for (int idle_count = 0; idle_count < 20; ++idle_count) {
    executor_.RunAll();
    Turn();
    if (transport_->SentBytes() > sent_bytes) idle_count = 0;
    sent_bytes = transport_->SentBytes();
  }
  EXPECT_FALSE(sending.done());
  EXPECT_EQ(executor_.held_count(), 0u);
  EXPECT_LE(executor_.submit_count(), sent_bytes / (1024 * 1024) + 2);
}

TEST_F(SendfileTest, WhatCannotBeSentLeavesTheTransportInOrder) {
  OpenTcp();
  struct {
    SendfileOptions options;
    const char* reason;
  } const cases[] = {
      {{.path = ""}, "INVALID_PATH"},
      {{.path = std::string("a\0b", 3)}, "INVALID_PATH"},
      {{.path = std::string(5000, 'x')}, "INVALID_PATH"},
      {{.path = "/", .offset_bytes = uint64_t{1} << 63}, "INVALID_OFFSET"},
      {{.path = "/", .count_bytes = 0}, "INVALID_COUNT"},
      {{.path = directory_.Path("none")}, "ENOENT"},
      {{.path = directory_.path()}, "NOT_A_REGULAR_FILE"},
      {{.path = "/dev/zero"}, "NOT_A_REGULAR_FILE"},
  };
  for (const auto& one : cases) {
    Sending& sending = Send(one.options);
    ASSERT_TRUE(Run([&] { return sending.done(); }));
    EXPECT_THAT(sending.status(), HasReason(one.reason));
    EXPECT_EQ(sending.sent_bytes(), 0u);
  }
  Sending& busy = Send({.path = directory_.WriteFile("f", "file")});
  executor_.RunAll(MakeError(absl::StatusCode::kResourceExhausted, "EXECUTOR_BUSY", "busy"));
  ASSERT_TRUE(Run([&] { return busy.done(); }));
  EXPECT_THAT(busy.status(), HasReason("EXECUTOR_BUSY"));
  EXPECT_THAT(transport_->Write("sound"), IsOk());
  ASSERT_TRUE(Run([&] { return peer_.received() == "sound"; }));
}

TEST_F(SendfileTest, ClosingAndHalfClosedTransports) {
  OpenTcp();
  transport_->WriteEof();
  Sending& after_eof = Send({.path = directory_.WriteFile("f", "file")});
  transport_->Close();
  Sending& closing = Send({.path = directory_.Path("f")});
  ASSERT_TRUE(Run([&] { return after_eof.done() && closing.done() && record_.lost(); }));
  Sending& lost = Send({.path = directory_.Path("f")});
  ASSERT_TRUE(Run([&] { return lost.done(); }));
  EXPECT_THAT(after_eof.status(), HasReason("WRITE_AFTER_EOF"));
  EXPECT_THAT(closing.status(), HasReason("TRANSPORT_CLOSING"));
  EXPECT_THAT(lost.status(), HasReason("TRANSPORT_CLOSING"));
}

TEST_F(SendfileTest, DestroyedMidwayItLetsTheTransportGoOn) {
  OpenTcp();
  Sending& sending = Send({.path = directory_.WriteFile("f", "file")});
  sending.operation.reset();
  EXPECT_THAT(transport_->Write("x"), IsOk());
  executor_.RunAll();
  ASSERT_TRUE(Run([&] { return peer_.received() == "x"; }));
  EXPECT_FALSE(sending.done());
}

// --- By fallback

TEST_F(SendfileTest, FallbackReadsAndWrites) {
  OpenMemory();
  const std::string content = Content(300'000);
  kernel_.write_room_bytes = 100;
  EXPECT_THAT(transport_->Write(std::string(200, 'b')), IsOk());
  Sending& sending = Send({.path = directory_.WriteFile("f", content), .offset_bytes = 5, .count_bytes = 250'000});
  sending.on_done = [this] { EXPECT_THAT(transport_->Write("after"), IsOk()); };
  ASSERT_TRUE(Run([&] {
    kernel_.write_room_bytes += 1000;
    return sending.done();
  }));
  EXPECT_THAT(sending.status(), IsOk());
  EXPECT_EQ(sending.sent_bytes(), 250'000u);
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  ASSERT_TRUE(Run([&] { return transport_->GetWriteBufferSize() == 0; }));
  EXPECT_TRUE(kernel_.written == std::string(200, 'b') + content.substr(5, 250'000) + "after");
  EXPECT_EQ(record_.bytes_sent.back(), 205u) << "of what Write was given";
  EXPECT_EQ(transport_->SentBytes(), 250'205u);
}

TEST_F(SendfileTest, FallbackHoldsOneBlockAtATime) {
  OpenMemory();
  kernel_.write_room_bytes = 1000;
  Sending& sending = Send({.path = directory_.WriteFile("f", Content(1'000'000))});
  for (int i = 0; i < 30; ++i) {
    executor_.RunAll();
    Turn();
    EXPECT_LE(transport_->GetWriteBufferSize(), 64u * 1024);
  }
  EXPECT_LE(executor_.submit_count(), 2u) << "one that is being written, one that is ready";
  EXPECT_THAT(record_.events, ElementsAre()) << "no PauseWriting for what the protocol did not write";
  EXPECT_FALSE(sending.done());
}

TEST_F(SendfileTest, FallbackOfAnEmptyFile) {
  OpenMemory();
  Sending& sending = Send({.path = directory_.WriteFile("f", "")});
  ASSERT_TRUE(Run([&] { return sending.done(); }));
  EXPECT_THAT(sending.status(), IsOk());
  EXPECT_EQ(sending.sent_bytes(), 0u);
}

TEST_F(SendfileTest, FallbackThatFailsTellsHowMuchWasSent) {
  for (const size_t room_bytes : {size_t{0}, size_t{100'000}}) {
    kernel_ = {};
    record_ = {};
    OpenMemory();
    kernel_.write_room_bytes = room_bytes;
    Sending& sending = Send({.path = directory_.WriteFile("f", Content(1'000'000))});
    ASSERT_TRUE(Run([&] { return transport_->GetWriteBufferSize() > 0 && kernel_.write_room_bytes == 0; }));
    kernel_.write_errno = EPIPE;
    ASSERT_TRUE(Run([&] { return sending.done(); }));
    EXPECT_THAT(sending.status(), HasReason("EPIPE"));
    EXPECT_EQ(sending.sent_bytes(), room_bytes);
    ASSERT_TRUE(Run([&] { return record_.lost(); }));
    EXPECT_EQ(record_.end->sent_bytes, room_bytes);
  }
}

TEST_F(SendfileTest, FallbackWhoseFirstWriteFails) {
  OpenMemory();
  kernel_.write_errno = ECONNRESET;
  Sending& sending = Send({.path = directory_.WriteFile("f", "file")});
  ASSERT_TRUE(Run([&] { return sending.done(); }));
  EXPECT_THAT(sending.status(), HasReason("ECONNRESET"));
  EXPECT_EQ(sending.sent_bytes(), 0u);
}

TEST_F(SendfileTest, CancelledFallbackSendsWhatItHadWritten) {
  OpenMemory();
  kernel_.write_room_bytes = 1000;
  const std::string content = Content(1'000'000);
  Sending& sending = Send({.path = directory_.WriteFile("f", content)});
  ASSERT_TRUE(Run([&] { return transport_->GetWriteBufferSize() > 0; }));
  sending.operation->Cancel();
  EXPECT_THAT(transport_->Write("after"), IsOk());
  kernel_.write_room_bytes = MemoryKernel::kNoLimit;
  ASSERT_TRUE(Run([&] { return sending.done() && transport_->GetWriteBufferSize() == 0; }));
  EXPECT_THAT(sending.status(), HasReason("CANCELLED"));
  EXPECT_TRUE(kernel_.written == content.substr(0, sending.sent_bytes()) + "after");
  EXPECT_EQ(record_.bytes_sent, (std::vector<uint64_t>{5}));
}

TEST_F(SendfileTest, FallbackThatIsNotWanted) {
  OpenMemory();
  Sending& sending = Send({.path = directory_.WriteFile("f", "file"), .fallback = false});
  ASSERT_TRUE(Run([&] { return sending.done(); }));
  EXPECT_THAT(sending.status(),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition), HasReason("SENDFILE_NOT_AVAILABLE")));
  EXPECT_THAT(transport_->Write("x"), IsOk());
}

TEST_F(SendfileTest, FileSystemWithoutSendfileIsReadInstead) {
  kernel_.can_sendfile = true;
  OpenMemory();
  const std::string content = Content(3'000'000);
  Sending& sending = Send({.path = directory_.WriteFile("f", content)});
  ASSERT_TRUE(Run([&] { return sending.done(); }));
  EXPECT_THAT(sending.status(), IsOk());
  EXPECT_EQ(sending.sent_bytes(), content.size());
  EXPECT_TRUE(kernel_.written == content);
  Sending& native_only = Send({.path = directory_.Path("f"), .fallback = false});
  ASSERT_TRUE(Run([&] { return native_only.done(); }));
  EXPECT_THAT(native_only.status(), HasReason("SENDFILE_NOT_AVAILABLE"));
}

}  // namespace
}  // namespace transportd
