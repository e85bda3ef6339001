// When a session sends what it has: the clock stands still until a test moves it.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/unit/session/session_fixture.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;

constexpr size_t kWorthyDataBytes = 128 * 1024;
constexpr size_t kWorthyProgressBytes = 16 * 1024;

class FrameTimingTest : public SessionTest {
 protected:
  void SetUp() override {
    auto loop = EpollEventLoop::Create({.clock = &clock_});
    ASSERT_TRUE(loop.ok());
    loop_ = *std::move(loop);
  }

  // A connection whose peer has sent "a", which the client has been told and not acknowledged.
  void StartWithUnacknowledged(bool acknowledged = true) {
    StartOpen(acknowledged);
    id_ = Connect(listener_.address());
    peer_.emplace(listener_.Accept());
    peer_->Send("a");
    ASSERT_TRUE(RunUntil([&] { return stream_->Data(id_) == "a"; }));
  }
  // Until the session has read this much of the transport in all.
  void RunUntilRead(uint64_t size_bytes) {
    ASSERT_TRUE(RunUntil([&] {
      std::vector<v1::TransportInfo> infos;
      session_->DescribeTransports(0, 10, infos);
      return infos.at(0).received_bytes() == size_bytes;
    }));
    loop_->reactor().RunOnce(Duration::zero());
  }
  uint64_t Progress() const {
    uint64_t progress = 0;
    for (const v1::Callback& callback : stream_->callbacks()) {
      if (callback.transport_id() == id_ && callback.has_write_progress()) progress = callback.write_progress();
    }
    return progress;
  }
  void RunUntilPeerHas(const std::string& data) {
    ASSERT_TRUE(RunUntil([&] {
      peer_->Poll();
      return peer_->received() == data;
    }));
    for (int turn = 0; turn < 3; ++turn) loop_->reactor().RunOnce(Duration::zero());
  }

  FakeClock clock_;
  RawListener listener_;
  std::optional<RawPeer> peer_;
  uint32_t id_ = 0;
};

TEST_F(FrameTimingTest, LittleDataWaitsUntilTheDataBeforeIsAcknowledged) {
  StartWithUnacknowledged();
  peer_->Send("b");
  RunUntilRead(2);
  EXPECT_EQ(stream_->Data(id_), "a");
  v1::SessionRequest request;
  request.set_acknowledged_sequence(stream_->sequence());
  stream_->Deliver(std::move(request));
  EXPECT_TRUE(RunUntil([&] { return stream_->Data(id_) == "ab"; }));
}

TEST_F(FrameTimingTest, LittleDataWaitsForAMillisecondAtMost) {
  StartWithUnacknowledged();
  peer_->Send("b");
  RunUntilRead(2);
  clock_.Advance(milliseconds(1));
  EXPECT_TRUE(RunUntil([&] { return stream_->Data(id_) == "ab"; }));
}

TEST_F(FrameTimingTest, MuchDataDoesNotWait) {
  StartWithUnacknowledged();
  peer_->Send(std::string(kWorthyDataBytes, 'b'));
  EXPECT_TRUE(RunUntil([&] { return stream_->Data(id_).size() == 1 + kWorthyDataBytes; }));
}

TEST_F(FrameTimingTest, AQuarterOfTheReceiveWindowDoesNotWait) {
  limits_.receive_window_bytes = 64 * 1024;
  StartWithUnacknowledged();
  peer_->Send(std::string(16 * 1024, 'b'));
  EXPECT_TRUE(RunUntil([&] { return stream_->Data(id_).size() == 1 + 16 * 1024; }));
}

TEST_F(FrameTimingTest, WhatIsNotDataTakesTheDataBeforeItAlong) {
  StartWithUnacknowledged();
  peer_->Send("b");
  RunUntilRead(2);
  peer_->ShutdownWrite();
  EXPECT_TRUE(RunUntil([&] { return stream_->callbacks().back().has_eof_received(); }));
  EXPECT_EQ(stream_->Data(id_), "ab");
}

TEST_F(FrameTimingTest, PlainSessionWaitsForNoAcknowledgement) {
  StartWithUnacknowledged(/*acknowledged=*/false);
  peer_->Send("b");
  EXPECT_TRUE(RunUntil([&] { return stream_->Data(id_) == "ab"; }));
}

TEST_F(FrameTimingTest, ProgressOfALittleWaitsForFiveMilliseconds) {
  StartWithUnacknowledged();
  Write(id_, "abc");
  RunUntilPeerHas("abc");
  EXPECT_EQ(Progress(), 0u);
  clock_.Advance(milliseconds(5));
  EXPECT_TRUE(RunUntil([&] { return Progress() == 3; }));
}

TEST_F(FrameTimingTest, ProgressOfMuchIsToldAtOnce) {
  StartWithUnacknowledged();
  Write(id_, std::string(kWorthyProgressBytes, 'w'));
  EXPECT_TRUE(RunUntil([&] {
    peer_->Poll();
    return Progress() == kWorthyProgressBytes;
  }));
}

TEST_F(FrameTimingTest, ProgressThatSomebodyWaitsForIsToldAtOnce) {
  StartWithUnacknowledged();
  v1::SessionRequest request;
  request.set_prompt_write_progress(true);
  v1::Command& command = *request.add_commands();
  command.set_transport_id(id_);
  command.set_write("abc");
  stream_->Deliver(std::move(request));
  EXPECT_TRUE(RunUntil([&] { return Progress() == 3; }));
  // Until a frame says that nobody waits any more.
  Write(id_, "def");
  RunUntilPeerHas("abcdef");
  EXPECT_EQ(Progress(), 3u);
}

TEST_F(FrameTimingTest, ReadsGrowWithWhatThereIsToRead) {
  StartWithUnacknowledged();
  const std::string bulk(200 * 1024, 'b');
  peer_->Send(bulk);
  ASSERT_TRUE(RunUntil([&] {
    clock_.Advance(milliseconds(1));
    return stream_->Data(id_).size() == 1 + bulk.size();
  }));
  std::vector<size_t> sizes;
  for (const v1::Callback& callback : stream_->callbacks()) {
    if (callback.has_data_received()) sizes.push_back(callback.data_received().size());
  }
  EXPECT_EQ(sizes.at(1), 4096u);
  EXPECT_GT(*std::max_element(sizes.begin(), sizes.end()), 4096u);
  EXPECT_LT(sizes.size(), bulk.size() / 4096);
}

// A session whose client takes no frame: the outbox of bulk fills.
class FullOutboxTest : public SessionTest {
 protected:
  static constexpr uint64_t kMostOutboxBytes = 2 * 1024 * 1024;
  static constexpr size_t kBulkBytes = 8 * 1024 * 1024;

  void SetUp() override {
    SessionTest::SetUp();
    limits_.receive_window_bytes = 2 * kBulkBytes;
    StartOpen(/*acknowledged=*/true, /*takes_frames=*/true);
    bulk_ = Connect(listener_.address());
    bulk_peer_.emplace(listener_.Accept());
    quiet_ = Connect(listener_.address());
    quiet_peer_.emplace(listener_.Accept());
    stream_->SetTakesFrames(false);
    // Until no more is read.
    uint64_t read_before = 0;
    ASSERT_TRUE(RunUntil([&] {
      Feed();
      const uint64_t read = Read(bulk_);
      still_count_ = read == std::exchange(read_before, read) && read > 0 ? still_count_ + 1 : 0;
      return still_count_ == 50;
    }));
  }
  void TearDown() override {
    stream_->SetTakesFrames(true);
    if (stream_->sending()) stream_->FrameSent();
    SessionTest::TearDown();
  }
  void Feed() { sent_bytes_ += bulk_peer_->TrySend(std::string_view(kBulk).substr(sent_bytes_)); }
  uint64_t Read(uint32_t id) {
    std::vector<v1::TransportInfo> infos;
    session_->DescribeTransports(id - 1, 1, infos);
    return infos.at(0).received_bytes();
  }

  const std::string kBulk = std::string(kBulkBytes, 'b');
  RawListener listener_;
  uint32_t bulk_ = 0;
  uint32_t quiet_ = 0;
  std::optional<RawPeer> bulk_peer_;
  std::optional<RawPeer> quiet_peer_;
  size_t sent_bytes_ = 0;
  int still_count_ = 0;
};

TEST_F(FullOutboxTest, BulkIsReadNoFurther) { EXPECT_LT(Read(bulk_), kMostOutboxBytes + 512 * 1024); }

TEST_F(FullOutboxTest, QuietTransportIsReadAllTheSame) {
  quiet_peer_->Send("ping");
  EXPECT_TRUE(RunUntil([&] { return Read(quiet_) == 4; }));
}

TEST_F(FullOutboxTest, WhenFramesAreTakenEverythingArrives) {
  stream_->SetTakesFrames(true);
  stream_->FrameSent();
  EXPECT_TRUE(RunUntil([&] {
    Feed();
    return stream_->Data(bulk_).size() == kBulkBytes;
  }));
}

}  // namespace
}  // namespace transportd
