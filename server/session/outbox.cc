#include "server/session/outbox.h"

#include <utility>

#include "proto/frame/frame_reader.h"

namespace transportd {

namespace {

// What an entry and the frame's own numbers take besides an entry's content.
constexpr uint64_t kFrameOverheadBytes = 64;

}  // namespace

void Outbox::MakeRoom(uint64_t size_bytes) {
  const bool fits = open_.size_bytes() + size_bytes + kFrameOverheadBytes <= max_frame_bytes_;
  if (!open_.empty() && (!fits || open_entry_count_ >= kMaxFrameEntryCount)) {
    sealed_bytes_ += open_.size_bytes();
    sealed_.push_back(
        {std::exchange(open_, FrameWriter()), std::exchange(open_shares_, {}), std::exchange(open_entry_count_, 0)});
  }
  ++open_entry_count_;
}

void Outbox::Append(const v1::Callback& callback) {
  MakeRoom(callback.ByteSizeLong());
  only_data_ = false;
  open_.AppendEntry(callback);
}

void Outbox::AppendWriteProgress(uint32_t transport_id, uint64_t sent_bytes) {
  MakeRoom(0);
  only_data_ = false;
  open_.AppendWriteProgress(transport_id, sent_bytes);
}

std::span<char> Outbox::BeginDataReceived(uint32_t transport_id, size_t size_bytes) {
  MakeRoom(kDataReceivedOverheadBytes + size_bytes);
  return open_.BeginDataReceived(transport_id, size_bytes);
}

void Outbox::EndDataReceived(uint32_t transport_id, size_t used_bytes) {
  open_.EndDataReceived(used_bytes);
  if (used_bytes != 0) AddShare(transport_id, used_bytes);
}

bool Outbox::AppendDatagramReceived(uint32_t transport_id, std::string_view data,
                                    std::optional<std::string_view> address) {
  const uint64_t entry_bytes = kDatagramOverheadBytes + data.size() + (address ? address->size() : 0);
  if (entry_bytes + kFrameOverheadBytes > max_frame_bytes_) return false;
  MakeRoom(entry_bytes);
  open_.AppendDatagramReceived(transport_id, data, address);
  AddShare(transport_id, data.size());
  return true;
}

void Outbox::AddShare(uint32_t transport_id, uint64_t data_bytes) {
  if (!keep_shares_) return;
  // A transport is read at most once a turn: only datagrams come several in a row.
  if (!open_shares_.empty() && open_shares_.back().transport_id == transport_id) {
    open_shares_.back().data_bytes += data_bytes;
    ++open_shares_.back().data_count;
  } else {
    open_shares_.push_back({transport_id, data_bytes, 1});
  }
}

FrameBuffer Outbox::TakeFrame(uint64_t acknowledged_sequence, bool all_written) {
  FrameWriter writer;
  if (sealed_.empty()) {
    only_data_ = true;
    open_entry_count_ = 0;
    writer = std::exchange(open_, FrameWriter());
    sending_shares_ = std::exchange(open_shares_, {});
  } else {
    writer = std::move(sealed_.front().writer);
    sending_shares_ = std::move(sealed_.front().shares);
    sealed_.pop_front();
    sealed_bytes_ -= writer.size_bytes();
  }
  sending_ = true;
  sending_bytes_ = writer.size_bytes();
  return writer.Seal(++sequence_, acknowledged_sequence, all_written ? FrameFlag::kAllWritten : FrameFlag::kNone);
}

std::vector<DataShare> Outbox::FrameSent() {
  sending_ = false;
  sending_bytes_ = 0;
  return std::exchange(sending_shares_, {});
}

}  // namespace transportd
