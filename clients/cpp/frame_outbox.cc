#include "clients/cpp/frame_outbox.h"

#include <algorithm>
#include <utility>

namespace transportd {
namespace {

// A frame that is this large goes out as it is; the next one begins.
constexpr size_t kFullFrameBytes = 256 * 1024;
// The largest piece of one write: small enough that the service hands on the first while the next is on its way.
constexpr size_t kMaxWriteBytes = 64 * 1024;
// The most that tags, lengths, ids and the frame's numbers add to one entry.
constexpr size_t kOverheadBytes = 64;

}  // namespace

void FrameOutbox::SendOpen(const v1::Open& open) {
  FrameWriter first;
  first.AppendOpening(open);
  is_sending_ = true;
  channel_.SendFrame(first.Seal(++sequence_, 0));
}

void FrameOutbox::Opened(size_t max_frame_bytes) {
  max_frame_bytes_ = max_frame_bytes;
  FlushAtTurnEnd();
}

void FrameOutbox::Close() {
  closed_ = true;
  sealed_.clear();
  writer_ = FrameWriter();
}

bool FrameOutbox::AppendCommand(const v1::Command& command) {
  if (closed_) return true;
  const size_t size_bytes = command.ByteSizeLong();
  // Before the service has answered, the smallest limit that it may have.
  const size_t most_bytes = max_frame_bytes_ == 0 ? kMaxWriteBytes : max_frame_bytes_;
  if (size_bytes + kOverheadBytes > most_bytes) return false;
  MakeRoom(size_bytes);
  writer_.AppendEntry(command);
  FlushAtTurnEnd();
  return true;
}

void FrameOutbox::AppendWrite(uint32_t transport_id, std::string_view data) {
  if (closed_) return;
  MakeRoom(data.size());
  writer_.AppendWrite(transport_id, data);
  FlushAtTurnEnd();
}

void FrameOutbox::AppendAcknowledgement(uint32_t transport_id, uint64_t data_bytes, uint64_t data_count) {
  if (closed_) return;
  MakeRoom(kOverheadBytes);
  writer_.AppendAcknowledgement(transport_id, data_bytes, data_count);
}

void FrameOutbox::AppendSendTo(uint32_t transport_id, std::string_view data, std::optional<std::string_view> address) {
  if (closed_) return;
  MakeRoom(kDatagramOverheadBytes + data.size() + (address ? address->size() : 0));
  writer_.AppendSendTo(transport_id, data, address);
  FlushAtTurnEnd();
}

size_t FrameOutbox::max_datagram_bytes() const { return max_frame_bytes_ - kOverheadBytes - kDatagramOverheadBytes; }

size_t FrameOutbox::max_write_bytes() const { return std::min(kMaxWriteBytes, max_frame_bytes_ - kOverheadBytes); }

void FrameOutbox::MakeRoom(size_t entry_bytes) {
  const size_t limit_bytes = max_frame_bytes_ == 0 ? kMaxWriteBytes : std::min(kFullFrameBytes, max_frame_bytes_);
  if (!writer_.empty() && writer_.size_bytes() + entry_bytes + kOverheadBytes > limit_bytes) Seal();
}

void FrameOutbox::Seal() {
  sealed_.push_back(
      writer_.Seal(++sequence_, received_sequence_,
                   acknowledgements_.WantsPromptProgress() ? FrameFlag::kPromptWriteProgress : FrameFlag::kNone));
}

void FrameOutbox::FlushAtTurnEnd() {
  if (flush_is_due_ || closed_) return;
  flush_is_due_ = true;
  // Twice, so that it comes after everything that was asked for during the turn.
  reactor_.AtTurnEnd([this] {
    reactor_.AtTurnEnd([this] {
      flush_is_due_ = false;
      Flush();
    });
  });
}

void FrameOutbox::OnFrameSent() {
  is_sending_ = false;
  FlushAtTurnEnd();
}

void FrameOutbox::Flush() {
  if (closed_ || is_sending_ || max_frame_bytes_ == 0) return;
  if (sealed_.empty()) {
    if (writer_.empty() && !acknowledgements_.HasUrgentAcknowledgements()) return;
    acknowledgements_.AppendAcknowledgements();
    if (!writer_.empty()) Seal();
    if (sealed_.empty()) return;
  }
  FrameBuffer frame = std::move(sealed_.front());
  sealed_.pop_front();
  is_sending_ = true;
  channel_.SendFrame(std::move(frame));
}

}  // namespace transportd
