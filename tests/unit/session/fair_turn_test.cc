// What one session may take of a turn of the loop that it shares with others.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/session/session_fixture.h"

namespace transportd {
namespace {

constexpr size_t kGreedyCount = 256;
// What may wait to be sent of one session, and the read that goes beyond it.
constexpr size_t kTurnBytes = 2 * 1024 * 1024 + 256 * 1024;

class FairTurnTest : public SessionTest {
 protected:
  // What has been read for the greedy one, and is not acknowledged.
  size_t GreedyBytes() const {
    v1::SessionInfo info;
    session_->Describe(info);
    return info.unacknowledged_bytes();
  }

  std::vector<uint32_t> ids_;
};

TEST_F(FairTurnTest, ASessionWithMuchToReadDoesNotHoldUpAnother) {
  RawListener listener;
  // The one that has little, first: it is not to be served because it came last.
  StartOpen(/*acknowledged=*/false);
  const std::shared_ptr<Session> modest = session_;
  const std::shared_ptr<MemoryFrameStream> modest_stream = stream_;
  const uint32_t modest_id = Connect(listener.address());
  RawPeer modest_peer = listener.Accept();

  StartOpen();
  std::vector<RawPeer> peers;
  for (size_t i = 0; i < kGreedyCount; ++i) {
    ids_.push_back(Connect(listener.address()));
    peers.push_back(listener.Accept());
  }
  // As much as the kernel takes on each way.
  const std::string block(1 << 16, 'x');
  size_t offered_bytes = 0;
  for (RawPeer& peer : peers) {
    for (size_t sent_bytes = 1; sent_bytes > 0; offered_bytes += sent_bytes) sent_bytes = peer.TrySend(block);
  }
  ASSERT_GT(offered_bytes, 4 * kTurnBytes);

  size_t most_bytes = 0;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(modest_peer.Send("ping"));
    const size_t before_bytes = GreedyBytes();
    // The turn that reads it, and the one that sends it on.
    for (int turn = 0; turn < 2; ++turn) loop_->reactor().RunOnce(Duration{0});
    most_bytes = std::max(most_bytes, GreedyBytes() - before_bytes);
    ASSERT_EQ(modest_stream->Data(modest_id).size(), 4u * static_cast<size_t>(i + 1)) << "round " << i;
    for (RawPeer& peer : peers) peer.TrySend(block);
    for (const uint32_t id : ids_) {
      if (stream_->read_asked()) Acknowledge(id);
    }
  }
  // It was not starved either.
  EXPECT_GT(most_bytes, 256u * 1024);
  EXPECT_LE(most_bytes, 2 * kTurnBytes);
  modest->End(absl::OkStatus(), std::nullopt);
  ASSERT_TRUE(RunUntil([&] { return ended_; }));
  ended_ = false;  // The other one's.
}

}  // namespace
}  // namespace transportd
