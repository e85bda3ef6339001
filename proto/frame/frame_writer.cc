#include "proto/frame/frame_writer.h"

#include <cstring>

#include "proto/frame/field_numbers.h"
#include "proto/frame/wire.h"

namespace transportd {

namespace {

using wire::PutPaddedVarint;
using wire::PutVarint;
using wire::Tag;
using wire::Type;
using wire::VarintBytes;

// A length of 4 bytes counts to 2^28 - 1, more than any frame holds.
constexpr size_t kLengthBytes = 4;
// Tag and length of the entry, tag and id, tag and length of the data.
constexpr size_t kDataPreludeBytes = 1 + kLengthBytes + 1 + wire::kMaxVarint32Bytes + 1 + kLengthBytes;
static_assert(kDataPreludeBytes == kDataReceivedOverheadBytes);

}  // namespace

void FrameWriter::AppendMessage(uint32_t field_number, const google::protobuf::MessageLite& message) {
  const size_t size_bytes = message.ByteSizeLong();
  const std::span<char> room = buffer_.Reserve(1 + wire::kMaxVarint64Bytes + size_bytes);
  char* end = room.data();
  *end++ = Tag(field_number, Type::kLengthDelimited);
  end = PutVarint(end, size_bytes);
  end = reinterpret_cast<char*>(message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(end)));
  buffer_.Commit(static_cast<size_t>(end - room.data()));
}

void FrameWriter::AppendOpening(const google::protobuf::MessageLite& opening) { AppendMessage(kOpening, opening); }

void FrameWriter::AppendEntry(const google::protobuf::MessageLite& entry) { AppendMessage(kEntries, entry); }

void FrameWriter::AppendAcknowledgement(uint32_t transport_id, uint64_t data_bytes, uint64_t data_count) {
  char message[3 + wire::kMaxVarint32Bytes + 2 * wire::kMaxVarint64Bytes];
  char* end = message;
  *end++ = Tag(1, Type::kVarint);
  end = PutVarint(end, transport_id);
  *end++ = Tag(2, Type::kVarint);
  end = PutVarint(end, data_bytes);
  *end++ = Tag(3, Type::kVarint);
  end = PutVarint(end, data_count);
  const auto size_bytes = static_cast<size_t>(end - message);
  const char prelude[] = {Tag(kAcknowledgements, Type::kLengthDelimited), static_cast<char>(size_bytes)};
  buffer_.Append({prelude, sizeof(prelude)});
  buffer_.Append({message, size_bytes});
}

void FrameWriter::AppendWrite(uint32_t transport_id, std::string_view data) {
  const size_t entry_bytes = 1 + VarintBytes(transport_id) + 1 + VarintBytes(data.size()) + data.size();
  const std::span<char> room = buffer_.Reserve(1 + wire::kMaxVarint64Bytes + entry_bytes);
  char* end = room.data();
  *end++ = Tag(kEntries, Type::kLengthDelimited);
  end = PutVarint(end, entry_bytes);
  *end++ = Tag(kCommandTransportId, Type::kVarint);
  end = PutVarint(end, transport_id);
  *end++ = Tag(kCommandWrite, Type::kLengthDelimited);
  end = PutVarint(end, data.size());
  if (!data.empty()) std::memcpy(end, data.data(), data.size());
  buffer_.Commit(static_cast<size_t>(end - room.data()) + data.size());
}

namespace {

// Tag, length and bytes.
size_t BytesFieldBytes(std::string_view bytes) { return 1 + VarintBytes(bytes.size()) + bytes.size(); }

char* PutBytesField(char* out, uint32_t field_number, std::string_view bytes) {
  *out++ = Tag(field_number, Type::kLengthDelimited);
  out = PutVarint(out, bytes.size());
  if (!bytes.empty()) std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

}  // namespace

void FrameWriter::AppendDatagram(uint32_t id_field_number, uint32_t transport_id, uint32_t datagram_field_number,
                                 std::string_view data, std::optional<std::string_view> address) {
  const size_t datagram_bytes =
      (data.empty() ? 0 : BytesFieldBytes(data)) + (address.has_value() ? BytesFieldBytes(*address) : 0);
  const size_t entry_bytes = 1 + VarintBytes(transport_id) + 1 + VarintBytes(datagram_bytes) + datagram_bytes;
  const std::span<char> room = buffer_.Reserve(1 + wire::kMaxVarint64Bytes + entry_bytes);
  char* end = room.data();
  *end++ = Tag(kEntries, Type::kLengthDelimited);
  end = PutVarint(end, entry_bytes);
  *end++ = Tag(id_field_number, Type::kVarint);
  end = PutVarint(end, transport_id);
  *end++ = Tag(datagram_field_number, Type::kLengthDelimited);
  end = PutVarint(end, datagram_bytes);
  if (!data.empty()) end = PutBytesField(end, kDatagramData, data);
  if (address.has_value()) end = PutBytesField(end, kDatagramAddress, *address);
  buffer_.Commit(static_cast<size_t>(end - room.data()));
}

void FrameWriter::AppendSendTo(uint32_t transport_id, std::string_view data, std::optional<std::string_view> address) {
  AppendDatagram(kCommandTransportId, transport_id, kCommandSendto, data, address);
}

void FrameWriter::AppendDatagramReceived(uint32_t transport_id, std::string_view data,
                                         std::optional<std::string_view> address) {
  AppendDatagram(kCallbackTransportId, transport_id, kCallbackDatagramReceived, data, address);
}

void FrameWriter::AppendDataReceived(uint32_t transport_id, std::string_view data) {
  const std::span<char> room = BeginDataReceived(transport_id, data.size());
  if (!data.empty()) std::memcpy(room.data(), data.data(), data.size());
  EndDataReceived(data.size());
}

std::span<char> FrameWriter::BeginDataReceived(uint32_t transport_id, size_t size_bytes) {
  open_entry_ = buffer_.size();
  char* at = buffer_.Reserve(kDataPreludeBytes + size_bytes).data();
  *at++ = Tag(kEntries, Type::kLengthDelimited);
  at += kLengthBytes;  // The entry's length, when it is known.
  *at++ = Tag(kCallbackTransportId, Type::kVarint);
  at = PutPaddedVarint(at, transport_id, wire::kMaxVarint32Bytes);
  *at++ = Tag(kCallbackDataReceived, Type::kLengthDelimited);
  at += kLengthBytes;  // The data's length, when it is known.
  return {at, size_bytes};
}

void FrameWriter::EndDataReceived(size_t used_bytes) {
  if (used_bytes == 0) return;  // Nothing was committed.
  char* entry = buffer_.data() + open_entry_;
  PutPaddedVarint(entry + 1, kDataPreludeBytes - 1 - kLengthBytes + used_bytes, kLengthBytes);
  PutPaddedVarint(entry + kDataPreludeBytes - kLengthBytes, used_bytes, kLengthBytes);
  buffer_.Commit(kDataPreludeBytes + used_bytes);
}

void FrameWriter::AppendWriteProgress(uint32_t transport_id, uint64_t sent_bytes) {
  const size_t entry_bytes = 1 + VarintBytes(transport_id) + 1 + VarintBytes(sent_bytes);
  const std::span<char> room = buffer_.Reserve(2 + entry_bytes);
  char* end = room.data();
  *end++ = Tag(kEntries, Type::kLengthDelimited);
  *end++ = static_cast<char>(entry_bytes);
  *end++ = Tag(kCallbackTransportId, Type::kVarint);
  end = PutVarint(end, transport_id);
  *end++ = Tag(kCallbackWriteProgress, Type::kVarint);
  end = PutVarint(end, sent_bytes);
  buffer_.Commit(static_cast<size_t>(end - room.data()));
}

FrameBuffer FrameWriter::Seal(uint64_t sequence, uint64_t acknowledged_sequence, FrameFlag flag) {
  const std::span<char> room = buffer_.Reserve(2 * (1 + wire::kMaxVarint64Bytes) + 2);
  char* end = room.data();
  if (sequence != 0) {
    *end++ = Tag(kSequence, Type::kVarint);
    end = PutVarint(end, sequence);
  }
  if (acknowledged_sequence != 0) {
    *end++ = Tag(kAcknowledgedSequence, Type::kVarint);
    end = PutVarint(end, acknowledged_sequence);
  }
  if (flag != FrameFlag::kNone) {
    *end++ = Tag(flag == FrameFlag::kAllWritten ? kAllWritten : kPromptWriteProgress, Type::kVarint);
    *end++ = 1;
  }
  buffer_.Commit(static_cast<size_t>(end - room.data()));
  return std::move(buffer_);
}

}  // namespace transportd
