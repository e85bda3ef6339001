// A FrameStream in memory, worked by hand: what the session sends is parsed by protobuf, what it is sent is built by
// it.
#ifndef TRANSPORTD_TESTS_UNIT_SESSION_MEMORY_FRAME_STREAM_H_
#define TRANSPORTD_TESTS_UNIT_SESSION_MEMORY_FRAME_STREAM_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/session/frame_stream.h"
#include "tests/support/frame_pieces.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {

// Threading: the test's.
class MemoryFrameStream final : public FrameStream {
 public:
  // True: a frame counts as sent in the turn after SendFrame. False: when the test says FrameSent.
  explicit MemoryFrameStream(bool takes_frames = true) : takes_frames_(takes_frames) {}

  // FrameStream
  void Start(Reactor& reactor, std::weak_ptr<Handler> handler) override {
    reactor_ = &reactor;
    handler_ = std::move(handler);
  }
  void ReadFrame() override {
    EXPECT_FALSE(read_asked_) << "two reads at once";
    read_asked_ = true;
  }
  void SendFrame(FrameBuffer frame) override {
    EXPECT_FALSE(sending_) << "two frames at once";
    sending_ = true;
    largest_frame_bytes_ = std::max(largest_frame_bytes_, frame.size());
    v1::SessionResponse response;
    EXPECT_TRUE(response.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
    // A second reader of a unary session's callbacks begins where the first one ended.
    EXPECT_TRUE(sequence_ == 0 || response.sequence() == sequence_ + 1);
    sequence_ = response.sequence();
    acknowledged_sequence_ = response.acknowledged_sequence();
    all_written_ = response.all_written();
    if (response.has_opened()) opened_ = response.opened();
    for (const v1::Callback& callback : response.callbacks()) callbacks_.push_back(callback);
    if (takes_frames_) reactor_->CallSoon([this] { FrameSent(); });
  }
  void Finish(absl::Status status) override {
    EXPECT_FALSE(finished_.has_value()) << "finished twice";
    finished_ = std::move(status);
  }

  // The client's side.
  void SetTakesFrames(bool takes_frames) { takes_frames_ = takes_frames; }
  void FrameSent() {
    sending_ = false;
    if (auto handler = handler_.lock(); handler != nullptr && !finished_.has_value()) handler->OnFrameSent();
  }
  // The session must have asked for it.
  void Deliver(const std::string& bytes) {
    ASSERT_TRUE(read_asked_) << "the session does not read";
    read_asked_ = false;
    if (auto handler = handler_.lock()) handler->OnFrame(cutter_.Cut(bytes));
  }
  void Deliver(v1::SessionRequest request) {
    request.set_sequence(++client_sequence_);
    Deliver(request.SerializeAsString());
  }
  void Deliver(const v1::Command& command) {
    v1::SessionRequest request;
    *request.add_commands() = command;
    Deliver(std::move(request));
  }
  void HalfClose() {
    read_asked_ = false;
    if (auto handler = handler_.lock()) handler->OnHalfClosed();
  }
  void Lose() {
    if (auto handler = handler_.lock()) handler->OnLost();
  }

  bool read_asked() const { return read_asked_; }
  bool sending() const { return sending_; }
  const std::optional<absl::Status>& finished() const { return finished_; }
  const std::optional<v1::Opened>& opened() const { return opened_; }
  const std::vector<v1::Callback>& callbacks() const { return callbacks_; }
  size_t largest_frame_bytes() const { return largest_frame_bytes_; }
  uint64_t sequence() const { return sequence_; }
  uint64_t acknowledged_sequence() const { return acknowledged_sequence_; }
  // Of the last frame.
  bool all_written() const { return all_written_; }

  // The first reply to `request_id`; null: none yet.
  const v1::Reply* FindReply(uint32_t request_id) const {
    for (const v1::Callback& callback : callbacks_) {
      if (callback.has_reply() && callback.reply().request_id() == request_id) return &callback.reply();
    }
    return nullptr;
  }
  // All data_received of a transport, joined, and how many there were.
  std::string Data(uint32_t transport_id) const {
    std::string data;
    for (const v1::Callback& callback : callbacks_) {
      if (callback.transport_id() == transport_id) data += callback.data_received();
    }
    return data;
  }
  uint64_t DataCount(uint32_t transport_id) const {
    uint64_t count = 0;
    for (const v1::Callback& callback : callbacks_) {
      count += callback.transport_id() == transport_id && callback.has_data_received();
    }
    return count;
  }
  const v1::ConnectionLost* FindLost(uint32_t transport_id) const {
    for (const v1::Callback& callback : callbacks_) {
      if (callback.transport_id() == transport_id && callback.has_connection_lost()) return &callback.connection_lost();
    }
    return nullptr;
  }

 private:
  bool takes_frames_;
  Reactor* reactor_ = nullptr;
  std::weak_ptr<Handler> handler_;
  bool read_asked_ = false;
  bool sending_ = false;
  uint64_t sequence_ = 0;
  uint64_t acknowledged_sequence_ = 0;
  bool all_written_ = false;
  uint64_t client_sequence_ = 0;
  FrameCutter cutter_;
  size_t largest_frame_bytes_ = 0;
  std::optional<absl::Status> finished_;
  std::optional<v1::Opened> opened_;
  std::vector<v1::Callback> callbacks_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_SESSION_MEMORY_FRAME_STREAM_H_
