// How much of one transport's data the client has been sent and has not yet acknowledged.
#ifndef TRANSPORTD_SERVER_SESSION_RECEIVE_WINDOW_H_
#define TRANSPORTD_SERVER_SESSION_RECEIVE_WINDOW_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace transportd {

// A callback weighs its bytes and a fixed charge, so that many small ones fill the window too.
// Threading: loop thread only.
class ReceiveWindow final {
 public:
  // `limit_bytes` is at least 4096, and `charge_bytes` at most an eighth of it.
  ReceiveWindow(uint64_t limit_bytes, uint64_t charge_bytes) : limit_bytes_(limit_bytes), charge_bytes_(charge_bytes) {}

  uint64_t limit_bytes() const { return limit_bytes_; }
  void Grow(uint64_t limit_bytes) { limit_bytes_ = std::max(limit_bytes_, limit_bytes); }

  void Sent(uint64_t data_bytes) {
    sent_bytes_ += data_bytes;
    ++sent_count_;
  }

  // Totals. False: more than was sent; nothing is changed. Totals that go back change nothing.
  bool Acknowledge(uint64_t data_bytes, uint64_t data_count) {
    if (data_bytes > sent_bytes_ || data_count > sent_count_) return false;
    acknowledged_bytes_ = std::max(acknowledged_bytes_, data_bytes);
    acknowledged_count_ = std::max(acknowledged_count_, data_count);
    return true;
  }

  // As Acknowledge, for what was sent since the last call, in a session that does not acknowledge.
  void Delivered(uint64_t data_bytes, uint64_t data_count) {
    acknowledged_bytes_ += data_bytes;
    acknowledged_count_ += data_count;
  }

  uint64_t sent_bytes() const { return sent_bytes_; }
  uint64_t acknowledged_bytes() const { return acknowledged_bytes_; }

  // Not yet acknowledged, charges included.
  uint64_t WeightBytes() const {
    return sent_bytes_ - acknowledged_bytes_ + charge_bytes_ * (sent_count_ - acknowledged_count_);
  }

  // Too little is left for a read that is worth its system call.
  bool Spent() const { return RoomBytes() < std::min<uint64_t>(2048, limit_bytes_ / 4); }

  // What the next callback may hold.
  uint64_t RoomBytes() const {
    const uint64_t weight_bytes = WeightBytes() + charge_bytes_;
    return weight_bytes < limit_bytes_ ? limit_bytes_ - weight_bytes : 0;
  }

 private:
  uint64_t limit_bytes_;
  const uint64_t charge_bytes_;
  uint64_t sent_bytes_ = 0;
  uint64_t sent_count_ = 0;
  uint64_t acknowledged_bytes_ = 0;
  uint64_t acknowledged_count_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_RECEIVE_WINDOW_H_
