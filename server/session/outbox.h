// The frames of a session on their way to the client.
#ifndef TRANSPORTD_SERVER_SESSION_OUTBOX_H_
#define TRANSPORTD_SERVER_SESSION_OUTBOX_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "proto/frame/frame_buffer.h"
#include "proto/frame/frame_writer.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {

// What one frame holds of one transport's data; kept only for sessions that do not acknowledge. Threading: a value.
struct DataShare {
  uint32_t transport_id = 0;
  uint64_t data_bytes = 0;
  uint64_t data_count = 0;
};

// One frame is open, and grows; frames that are full wait sealed; at most one is being sent. Its size is bounded by
// those who append: see Session. Threading: loop thread only.
class Outbox final {
 public:
  // `max_frame_bytes`: no frame grows beyond it, unless one callback alone does, nor beyond kMaxFrameEntryCount
  // callbacks. `keep_shares`: remember DataShares.
  Outbox(uint64_t max_frame_bytes, bool keep_shares) : max_frame_bytes_(max_frame_bytes), keep_shares_(keep_shares) {}

  void AppendOpened(const v1::Opened& opened) {
    open_.AppendOpening(opened);
    only_data_ = false;
  }
  void Append(const v1::Callback& callback);
  // False, and nothing is appended: it is longer than a frame may be. `address` as FrameWriter has it.
  [[nodiscard]] bool AppendDatagramReceived(uint32_t transport_id, std::string_view data,
                                            std::optional<std::string_view> address);
  void AppendWriteProgress(uint32_t transport_id, uint64_t sent_bytes);

  // Room for up to `size_bytes` of a transport's data, closed by EndDataReceived before anything else is appended.
  std::span<char> BeginDataReceived(uint32_t transport_id, size_t size_bytes);
  void EndDataReceived(uint32_t transport_id, size_t used_bytes);

  // Everything not yet taken by the stream, the frame being sent included.
  uint64_t size_bytes() const { return open_.size_bytes() + sealed_bytes_ + sending_bytes_; }
  bool empty() const { return open_.empty() && sealed_.empty(); }
  bool sending() const { return sending_; }
  // Callbacks in the next frame to send: at least as many as it has.
  size_t next_callback_count() const { return sealed_.empty() ? open_entry_count_ : sealed_.front().entry_count; }
  // What waits is data of transports, and nothing that a client might wait for.
  bool only_data() const { return only_data_ && sealed_.empty(); }

  // The next frame to send; nothing is being sent, and it is not empty. `all_written`: SessionResponse's.
  FrameBuffer TakeFrame(uint64_t acknowledged_sequence, bool all_written);
  // The stream has taken the frame: what it held of whose data.
  std::vector<DataShare> FrameSent();
  // The stream is gone, with the frame being sent.
  void FrameLost() { static_cast<void>(FrameSent()); }

  // Frames taken so far.
  uint64_t sequence() const { return sequence_; }
  // The number of the frame that what was appended last is in, or will be.
  uint64_t last_sequence() const { return sequence_ + sealed_.size() + (open_.empty() ? 0 : 1); }

 private:
  struct Sealed {
    FrameWriter writer;
    std::vector<DataShare> shares;
    size_t entry_count = 0;
  };

  // For one entry of this size.
  void MakeRoom(uint64_t size_bytes);
  void AddShare(uint32_t transport_id, uint64_t data_bytes);

  const uint64_t max_frame_bytes_;
  const bool keep_shares_;
  FrameWriter open_;
  std::vector<DataShare> open_shares_;
  size_t open_entry_count_ = 0;  // At least as many as it has.
  std::deque<Sealed> sealed_;
  uint64_t sealed_bytes_ = 0;
  bool only_data_ = true;  // Of the open frame.
  bool sending_ = false;
  uint64_t sending_bytes_ = 0;
  std::vector<DataShare> sending_shares_;
  uint64_t sequence_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_OUTBOX_H_
