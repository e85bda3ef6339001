#include "proto/frame/frame_reader.h"

#include <cstring>

#include "proto/frame/field_numbers.h"
#include "proto/frame/wire.h"

namespace transportd {

using wire::Field;
using wire::FieldReader;
using wire::Type;

namespace {

// False: a field that a frame cannot have.
bool AddField(const Field& field, FrameView& frame) {
  const bool is_message = field.type == Type::kLengthDelimited;
  if (field.number > kPromptWriteProgress) return true;
  if (is_message != (field.number == kOpening || field.number == kEntries || field.number == kAcknowledgements)) {
    return false;
  }
  if (!is_message && field.type != Type::kVarint) return false;
  switch (field.number) {
    case kOpening:
      // Protobuf would merge two; nobody has a reason to send two.
      if (frame.opening.has_value()) return false;
      frame.opening = field.bytes;
      return true;
    case kSequence:
      frame.sequence = field.varint;
      return true;
    case kAcknowledgedSequence:
      frame.acknowledged_sequence = field.varint;
      return true;
    case kEntries:
      if (frame.entries.size() == kMaxFrameEntryCount) return false;
      frame.entries.push_back({.bytes = field.bytes, .more_data = {}});
      return true;
    case kAcknowledgements:
      if (frame.acknowledgements.size() == kMaxFrameEntryCount) return false;
      frame.acknowledgements.push_back(field.bytes);
      return true;
    default:
      frame.prompt_write_progress = field.varint != 0;
      return true;
  }
}

// What is not read yet of a frame. Threading: a value.
class Pieces final {
 public:
  explicit Pieces(std::span<const std::string_view> pieces) : pieces_(pieces) {
    for (const std::string_view piece : pieces_) size_bytes_ += piece.size();
  }

  size_t size_bytes() const { return size_bytes_; }
  // What lies in one piece; empty only at the end.
  std::string_view first() {
    while (!pieces_.empty() && position_ == pieces_.front().size()) {
      pieces_ = pieces_.subspan(1);
      position_ = 0;
    }
    return pieces_.empty() ? std::string_view() : pieces_.front().substr(position_);
  }
  // Takes up to this much of the first piece.
  std::string_view Take(size_t most_bytes) {
    const std::string_view taken = first().substr(0, most_bytes);
    position_ += taken.size();
    size_bytes_ -= taken.size();
    return taken;
  }

 private:
  std::span<const std::string_view> pieces_;
  size_t position_ = 0;  // In the first.
  size_t size_bytes_ = 0;
};

// The field that goes beyond the first piece. False: malformed.
bool ReadCutField(Pieces& pieces, FrameKind kind, FrameView& frame) {
  std::string_view begin = pieces.first();
  char copied[wire::kMaxFieldHeadBytes];
  if (begin.size() < sizeof(copied)) {
    size_t size_bytes = 0;
    for (Pieces ahead = pieces; size_bytes < sizeof(copied) && ahead.size_bytes() > 0;) {
      const std::string_view part = ahead.Take(sizeof(copied) - size_bytes);
      std::memcpy(copied + size_bytes, part.data(), part.size());
      size_bytes += part.size();
    }
    begin = {copied, size_bytes};
  }
  const std::optional<wire::FieldHead> head = wire::ReadFieldHead(begin);
  if (!head.has_value() || head->size_bytes > pieces.size_bytes()) return false;

  if (head->number == kEntries && head->type == Type::kLengthDelimited && head->head_bytes < pieces.first().size()) {
    Pieces ahead = pieces;
    ahead.Take(head->head_bytes);
    size_t left_bytes = head->size_bytes - head->head_bytes;
    EntryView entry{.bytes = ahead.Take(left_bytes), .more_data = {}};
    left_bytes -= entry.bytes.size();
    const size_t first_more = frame.data_pieces.size();
    while (left_bytes > 0) {
      frame.data_pieces.push_back(ahead.Take(left_bytes));
      left_bytes -= frame.data_pieces.back().size();
    }
    entry.more_data = std::span(frame.data_pieces).subspan(first_more);
    const auto hot = kind == FrameKind::kCommands ? ReadHotCommand(entry) : ReadHotCallback(entry);
    if (hot.has_value() && hot->kind == HotEntry::Kind::kData && frame.entries.size() < kMaxFrameEntryCount) {
      frame.entries.push_back(entry);
      pieces = ahead;
      return true;
    }
    frame.data_pieces.resize(first_more);
  }

  FrameBuffer& copy = frame.copies.emplace_back();
  for (size_t left_bytes = head->size_bytes; left_bytes > 0;) {
    const std::string_view part = pieces.Take(left_bytes);
    copy.Append(part);
    left_bytes -= part.size();
  }
  FieldReader reader(copy.view());
  Field field;
  return reader.Next(field) && AddField(field, frame);
}

}  // namespace

void FrameView::Rest() {
  constexpr size_t kUsualCount = 1024;
  std::vector<FrameBuffer>().swap(copies);
  if (entries.capacity() > kUsualCount) std::vector<EntryView>().swap(entries);
  if (acknowledgements.capacity() > kUsualCount) std::vector<std::string_view>().swap(acknowledgements);
  if (data_pieces.capacity() > kUsualCount) std::vector<std::string_view>().swap(data_pieces);
}

bool ReadFrame(std::span<const std::string_view> pieces, FrameKind kind, FrameView& frame) {
  frame.opening.reset();
  frame.sequence = 0;
  frame.acknowledged_sequence = 0;
  frame.prompt_write_progress = false;
  frame.entries.clear();
  frame.acknowledgements.clear();
  frame.data_pieces.clear();
  frame.copies.clear();
  // Each piece is the end of one field at most, or lies within one: they never move, and views of them stay.
  frame.data_pieces.reserve(pieces.size());
  for (Pieces left(pieces); left.size_bytes() > 0;) {
    FieldReader reader(left.first());
    std::string_view rest = reader.rest();
    for (Field field; reader.Next(field); rest = reader.rest()) {
      if (!AddField(field, frame)) return false;
    }
    left.Take(left.first().size() - rest.size());
    if (!reader.ok() && !ReadCutField(left, kind, frame)) return false;
  }
  return true;
}

namespace {

size_t MoreBytes(const EntryView& entry) {
  size_t size_bytes = 0;
  for (const std::string_view piece : entry.more_data) size_bytes += piece.size();
  return size_bytes;
}

// A v1::Datagram. False: malformed, or with fields that it should not have.
bool ReadDatagram(std::string_view bytes, HotEntry& hot) {
  hot.kind = HotEntry::Kind::kDatagram;
  bool has_data = false;
  FieldReader reader(bytes);
  for (Field field; reader.Next(field);) {
    if (field.type != Type::kLengthDelimited) return false;
    if (field.number == kDatagramData && !has_data) {
      hot.data = field.bytes;
      has_data = true;
    } else if (field.number == kDatagramAddress && !hot.address.has_value()) {
      hot.address = field.bytes;
    } else {
      return false;
    }
  }
  return reader.ok();
}

}  // namespace

std::optional<HotEntry> ReadHotCommand(const EntryView& entry) {
  HotEntry hot;
  int variants = 0;
  FieldReader reader(entry.bytes, MoreBytes(entry));
  for (Field field; reader.Next(field);) {
    if (field.number == kCommandRequestId && field.type == Type::kVarint) {
      hot.request_id = static_cast<uint32_t>(field.varint);
    } else if (field.number == kCommandTransportId && field.type == Type::kVarint) {
      hot.transport_id = static_cast<uint32_t>(field.varint);
    } else if (field.number == kCommandWrite && field.type == Type::kLengthDelimited) {
      hot.data = field.bytes;
      hot.more_data = entry.more_data;
      ++variants;
    } else if (field.number == kCommandSendto && field.type == Type::kLengthDelimited) {
      if (!entry.more_data.empty() || !ReadDatagram(field.bytes, hot)) return std::nullopt;
      ++variants;
    } else {
      return std::nullopt;
    }
  }
  if (!reader.ok() || variants != 1 || reader.misses_bytes()) return std::nullopt;
  return hot;
}

std::optional<HotEntry> ReadHotCallback(const EntryView& entry) {
  HotEntry hot;
  int variants = 0;
  FieldReader reader(entry.bytes, MoreBytes(entry));
  for (Field field; reader.Next(field);) {
    if (field.number == kCallbackTransportId && field.type == Type::kVarint) {
      hot.transport_id = static_cast<uint32_t>(field.varint);
    } else if (field.number == kCallbackDataReceived && field.type == Type::kLengthDelimited) {
      hot.data = field.bytes;
      hot.more_data = entry.more_data;
      ++variants;
    } else if (field.number == kCallbackWriteProgress && field.type == Type::kVarint) {
      hot.sent_bytes = field.varint;
      hot.kind = HotEntry::Kind::kProgress;
      ++variants;
    } else if (field.number == kCallbackDatagramReceived && field.type == Type::kLengthDelimited) {
      if (!entry.more_data.empty() || !ReadDatagram(field.bytes, hot)) return std::nullopt;
      ++variants;
    } else {
      return std::nullopt;
    }
  }
  if (!reader.ok() || variants != 1 || reader.misses_bytes()) return std::nullopt;
  return hot;
}

std::optional<AcknowledgementView> ReadAcknowledgement(std::string_view bytes) {
  AcknowledgementView acknowledgement;
  FieldReader reader(bytes);
  for (Field field; reader.Next(field);) {
    if (field.number > 3) continue;
    if (field.type != Type::kVarint) return std::nullopt;
    switch (field.number) {
      case 1:
        acknowledgement.transport_id = static_cast<uint32_t>(field.varint);
        break;
      case 2:
        acknowledgement.data_bytes = field.varint;
        break;
      default:
        acknowledgement.data_count = field.varint;
    }
  }
  if (!reader.ok()) return std::nullopt;
  return acknowledgement;
}

}  // namespace transportd
