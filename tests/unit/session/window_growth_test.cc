// A transport's receive window grows when the way to the client is long, and only then.
#include <optional>
#include <string>
#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/unit/session/session_fixture.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kWindowBytes = 64 * 1024;

class WindowGrowthTest : public SessionTest {
 protected:
  void SetUp() override {
    auto loop = EpollEventLoop::Create({.clock = &clock_});
    ASSERT_TRUE(loop.ok());
    loop_ = *std::move(loop);
    limits_.receive_window_bytes = kWindowBytes;
    limits_.max_receive_window_bytes = 4 * kWindowBytes;
  }
  void Start() {
    StartOpen();
    id_ = Connect(listener_.address());
    peer_.emplace(listener_.Accept());
  }
  // Until the session has read all that it may of what the peer sends. How much of it the client has not acknowledged.
  uint64_t Fill() {
    uint64_t before_bytes = 0;
    int still_count = 0;
    const std::string block(1 << 16, 'x');
    EXPECT_TRUE(RunUntil([&] {
      peer_->TrySend(block);
      const uint64_t now_bytes = Read();
      still_count = now_bytes == std::exchange(before_bytes, now_bytes) && now_bytes > 0 ? still_count + 1 : 0;
      return still_count == 50;
    }));
    return before_bytes - acknowledged_bytes_;
  }
  uint64_t Read() {
    std::vector<v1::TransportInfo> infos;
    session_->DescribeTransports(0, 10, infos);
    return infos.at(0).received_bytes();
  }
  // So long after the window was spent, 1 ms at least, the client tells that every frame has arrived, and that all is
  // consumed but so many bytes.
  void AcknowledgeAfter(Duration way, uint64_t unconsumed_bytes = 0, bool has_arrived = true) {
    clock_.Advance(way);  // What waits for company goes, too.
    ASSERT_TRUE(RunUntil([&] { return stream_->read_asked() && stream_->Data(id_).size() == Read(); }));
    acknowledged_bytes_ = Read() - unconsumed_bytes;
    v1::SessionRequest request;
    request.set_acknowledged_sequence(has_arrived ? stream_->sequence() : 1);
    v1::Acknowledgement& acknowledgement = *request.add_acknowledgements();
    acknowledgement.set_transport_id(id_);
    acknowledgement.set_data_bytes(acknowledged_bytes_);
    acknowledgement.set_data_count(unconsumed_bytes == 0 ? stream_->DataCount(id_) : 0);
    stream_->Deliver(std::move(request));
  }

  FakeClock clock_;
  RawListener listener_;
  std::optional<RawPeer> peer_;
  uint32_t id_ = 0;
  uint64_t acknowledged_bytes_ = 0;
};

TEST_F(WindowGrowthTest, DoublesOverALongWayUpToItsLimit) {
  Start();
  const uint64_t first_bytes = Fill();
  EXPECT_LE(first_bytes, kWindowBytes);
  AcknowledgeAfter(milliseconds(20));
  const uint64_t second_bytes = Fill();
  EXPECT_GT(second_bytes, kWindowBytes * 3 / 2);
  EXPECT_LE(second_bytes, 2 * kWindowBytes);
  AcknowledgeAfter(milliseconds(20));
  EXPECT_GT(Fill(), 3 * kWindowBytes);
  AcknowledgeAfter(milliseconds(20));
  EXPECT_LE(Fill(), 4 * kWindowBytes);
}

TEST_F(WindowGrowthTest, StaysOverAShortWay) {
  Start();
  Fill();
  AcknowledgeAfter(milliseconds(1));
  EXPECT_LE(Fill(), kWindowBytes);
}

TEST_F(WindowGrowthTest, StaysForAClientThatConsumesSlowly) {
  Start();
  const uint64_t first_bytes = Fill();
  AcknowledgeAfter(milliseconds(20), /*unconsumed_bytes=*/first_bytes / 2);
  EXPECT_LE(Fill(), kWindowBytes);
}

// What a paused protocol's client holds back it acknowledges all the same, so that the session's window is free.
TEST_F(WindowGrowthTest, StaysForAClientThatPauses) {
  Start();
  Fill();
  v1::Command command;
  command.mutable_pause_reading()->set_transport_id(id_);
  ASSERT_NE(Ask(command, 1), nullptr);
  AcknowledgeAfter(milliseconds(20));
  command.mutable_resume_reading()->set_transport_id(id_);
  ASSERT_NE(Ask(command, 2), nullptr);
  EXPECT_LE(Fill(), kWindowBytes);
}

TEST_F(WindowGrowthTest, StaysWhileWhatFilledItHasNotArrived) {
  Start();
  Fill();
  AcknowledgeAfter(milliseconds(20), /*unconsumed_bytes=*/0, /*has_arrived=*/false);
  EXPECT_LE(Fill(), kWindowBytes);
}

TEST_F(WindowGrowthTest, NeverTakesMoreThanAQuarterOfTheSessions) {
  limits_.session_receive_window_bytes = 4 * kWindowBytes;
  Start();
  Fill();
  AcknowledgeAfter(milliseconds(20));
  EXPECT_LE(Fill(), kWindowBytes);
}

}  // namespace
}  // namespace transportd
