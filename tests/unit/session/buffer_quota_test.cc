// What a principal may hold in the buffers of all its sessions.
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "server/policy/session_guard.h"
#include "tests/unit/session/session_fixture.h"

namespace transportd {
namespace {

constexpr uint64_t kQuotaBytes = 256 * 1024;
constexpr uint64_t kShareBytes = 32 * 1024;

// What the principal's other sessions hold, and this one says that it holds. Threading: the test's.
struct Buffers {
  uint64_t others_bytes = 0;
  uint64_t bytes = 0;
  uint64_t share_bytes = kShareBytes;
};

// Allows everything, and bounds buffers. Threading: the test's.
class BufferGuard final : public SessionGuard {
 public:
  explicit BufferGuard(std::shared_ptr<Buffers> buffers) : buffers_(std::move(buffers)) {}

  absl::Status Check(std::string_view /*method*/, const Action& /*action*/) override { return absl::OkStatus(); }
  absl::StatusOr<std::shared_ptr<OperationGate>> Begin(GuardedOperation /*operation*/) override { return nullptr; }
  absl::StatusOr<std::shared_ptr<void>> TakeTransport() override { return nullptr; }
  bool StillAllows(const Action& /*action*/) const override { return true; }
  Bounds GetBounds() const override {
    return {.buffered_bytes = kQuotaBytes, .buffered_share_bytes = buffers_->share_bytes};
  }
  void SetBufferedBytes(uint64_t bytes) override { buffers_->bytes = bytes; }
  uint64_t PrincipalBufferedBytes() const override { return buffers_->others_bytes + buffers_->bytes; }
  void Closed(std::string_view /*cause*/, bool /*expired*/) override {}

 private:
  const std::shared_ptr<Buffers> buffers_;  // Shared with the test.
};

class BufferQuotaTest : public SessionTest {
 protected:
  void SetUp() override {
    SessionTest::SetUp();
    guard_ = std::make_unique<BufferGuard>(buffers_);
  }
  // Until the peer can send no more; how much it has sent in all.
  uint64_t Fill(RawPeer& peer, uint64_t offered_bytes = 0) {
    const std::string block(1 << 16, 'x');
    int idle_turns = 0;
    EXPECT_TRUE(RunUntil([&] {
      const size_t sent_bytes = peer.TrySend(block);
      offered_bytes += sent_bytes;
      idle_turns = sent_bytes == 0 ? idle_turns + 1 : 0;
      return idle_turns > 20;
    }));
    return offered_bytes;
  }

  const std::shared_ptr<Buffers> buffers_ = std::make_shared<Buffers>();  // Shared with the guard.
};

TEST_F(BufferQuotaTest, WindowsAreBoundedByIt) {
  StartOpen();
  const v1::Limits& limits = stream_->opened()->limits();
  EXPECT_EQ(limits.session_receive_window_bytes(), kQuotaBytes / 2);
  EXPECT_EQ(limits.session_send_window_bytes(), kShareBytes / 2);
  EXPECT_EQ(limits.receive_window_bytes(), kQuotaBytes / 2);
  EXPECT_EQ(limits.send_window_bytes(), kShareBytes / 2);
}

TEST_F(BufferQuotaTest, WhatASessionHoldsIsTold) {
  RawListener listener;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  Fill(peer);
  EXPECT_GT(buffers_->bytes, kShareBytes);
  EXPECT_LE(buffers_->bytes, kQuotaBytes);
  // Acknowledged, and with nothing more to come, it holds nothing.
  ASSERT_TRUE(RunUntil([&] {
    if (stream_->read_asked()) Acknowledge(id);
    return buffers_->bytes == 0;
  }));
}

TEST_F(BufferQuotaTest, WhileOthersHoldItASessionHasItsShare) {
  RawListener listener;
  StartOpen();
  buffers_->others_bytes = kQuotaBytes;
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  uint64_t offered_bytes = Fill(peer);
  // It has read its share, and the one read that went beyond it.
  const size_t held_bytes = stream_->Data(id).size();
  EXPECT_GT(held_bytes, 0u);
  EXPECT_LE(buffers_->bytes, kQuotaBytes * 3 / 8);
  EXPECT_LT(held_bytes, offered_bytes);

  // When the others let go it goes on by itself, and nothing is lost.
  buffers_->others_bytes = 0;
  ASSERT_TRUE(RunUntil([&] {
    if (stream_->read_asked()) Acknowledge(id);
    return stream_->Data(id).size() == offered_bytes;
  }));
}

TEST_F(BufferQuotaTest, WhileOthersHoldItTheClientIsHeard) {
  RawListener listener;
  StartOpen();
  buffers_->others_bytes = kQuotaBytes;
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  Fill(peer);
  const uint64_t full_bytes = buffers_->bytes;
  ASSERT_GT(full_bytes, kShareBytes);
  // Neither is a frame of little the last, nor one that acknowledges.
  for (int i = 0; i < 3; ++i) Write(id, "x");
  ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
  Acknowledge(id);
  ASSERT_TRUE(RunUntil([&] { return buffers_->bytes < full_bytes; }));
  v1::Command command;
  command.mutable_abort()->set_transport_id(id);
  ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
  stream_->Deliver(command);
  ASSERT_TRUE(RunUntil([&] { return buffers_->bytes == 0; }));
}

// As a client may have that had larger windows before a reload.
TEST_F(BufferQuotaTest, WhoHasWrittenMoreThanTheShareIsHeardNowAndThen) {
  RawListener listener;
  buffers_->share_bytes = kQuotaBytes;
  StartOpen();
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  // The peer reads nothing, and what the kernel takes of it is not held here. Of fixed buffers it takes no more with
  // time.
  constexpr int kKernelBytes = 8 * 1024;
  v1::Command setsockopt;
  setsockopt.mutable_setsockopt()->set_transport_id(id);
  setsockopt.mutable_setsockopt()->set_option(v1::SOCKET_OPTION_SO_SNDBUF);
  setsockopt.mutable_setsockopt()->set_value(kKernelBytes);
  ASSERT_FALSE(Ask(setsockopt, 100)->has_error());
  ASSERT_EQ(::setsockopt(peer.fd(), SOL_SOCKET, SO_RCVBUF, &kKernelBytes, sizeof(kKernelBytes)), 0);
  int idle_turns = 0;
  uint64_t held_bytes = 0;
  ASSERT_TRUE(RunUntil([&] {
    if (buffers_->bytes <= 2 * kShareBytes && stream_->read_asked()) Write(id, std::string(kShareBytes, 'x'));
    idle_turns = buffers_->bytes > 2 * kShareBytes && buffers_->bytes == held_bytes ? idle_turns + 1 : 0;
    held_bytes = buffers_->bytes;
    return idle_turns > 50;
  }));
  buffers_->share_bytes = kShareBytes;
  buffers_->others_bytes = kQuotaBytes;
  session_->Recheck();
  // What it sends is received all the same: it may read only when it is read from.
  ASSERT_TRUE(peer.Send("from the peer"));
  ASSERT_TRUE(RunUntil([&] { return stream_->Data(id) == "from the peer"; }));
  Write(id, "x");
  EXPECT_FALSE(stream_->read_asked());
  v1::Command command;
  command.mutable_abort()->set_transport_id(id);
  ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
  EXPECT_GT(buffers_->bytes, kShareBytes);
  stream_->Deliver(command);
  ASSERT_TRUE(RunUntil([&] { return buffers_->bytes < kShareBytes; }));
}

TEST_F(BufferQuotaTest, WhileTheServiceHoldsItASessionHasItsShare) {
  RawListener listener;
  guard_ = nullptr;  // No quota, and so the largest windows.
  StartOpen();
  const auto others_bytes = static_cast<int64_t>(budget_.limits().buffered_bytes);
  budget_.AddBufferedBytes(others_bytes);
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  const uint64_t offered_bytes = Fill(peer);
  const size_t held_bytes = stream_->Data(id).size();
  // And the one read that went beyond it.
  EXPECT_GE(held_bytes, budget_.BufferedShareBytes());
  EXPECT_LE(held_bytes, budget_.BufferedShareBytes() + limits_.receive_window_bytes / 4);
  budget_.AddBufferedBytes(-others_bytes);
  ASSERT_TRUE(RunUntil([&] {
    if (stream_->read_asked()) Acknowledge(id);
    return stream_->Data(id).size() == offered_bytes;
  }));
}

TEST_F(BufferQuotaTest, ASessionBelowItsShareIsReadFromAsEver) {
  RawListener listener;
  StartOpen();
  buffers_->others_bytes = 100 * kQuotaBytes;
  const uint32_t id = Connect(listener.address());
  RawPeer peer = listener.Accept();
  for (int i = 0; i < 100; ++i) {
    Write(id, "ping");
    ASSERT_TRUE(RunUntil([&] {
      peer.Poll();
      return peer.received().size() == 4u * static_cast<size_t>(i + 1);
    }));
    ASSERT_TRUE(peer.Send("pong"));
    ASSERT_TRUE(RunUntil([&] { return stream_->Data(id).size() == 4u * static_cast<size_t>(i + 1); }));
  }
}

}  // namespace
}  // namespace transportd
