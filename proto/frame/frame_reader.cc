#include "proto/frame/frame_reader.h"

#include "proto/frame/field_numbers.h"
#include "proto/frame/wire.h"

namespace transportd {

using wire::Field;
using wire::FieldReader;
using wire::Type;

bool ReadFrame(std::string_view bytes, FrameView& frame) {
  frame.opening.reset();
  frame.sequence = 0;
  frame.acknowledged_sequence = 0;
  frame.prompt_write_progress = false;
  frame.entries.clear();
  frame.acknowledgements.clear();
  FieldReader reader(bytes);
  for (Field field; reader.Next(field);) {
    const bool is_message = field.type == Type::kLengthDelimited;
    if (field.number > kPromptWriteProgress) continue;
    if (is_message != (field.number == kOpening || field.number == kEntries || field.number == kAcknowledgements)) {
      return false;
    }
    if (!is_message && field.type != Type::kVarint) return false;
    switch (field.number) {
      case kOpening:
        // Protobuf would merge two; nobody has a reason to send two.
        if (frame.opening.has_value()) return false;
        frame.opening = field.bytes;
        break;
      case kSequence:
        frame.sequence = field.varint;
        break;
      case kAcknowledgedSequence:
        frame.acknowledged_sequence = field.varint;
        break;
      case kEntries:
        frame.entries.push_back(field.bytes);
        break;
      case kAcknowledgements:
        frame.acknowledgements.push_back(field.bytes);
        break;
      default:
        frame.prompt_write_progress = field.varint != 0;
    }
  }
  return reader.ok();
}

namespace {

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

std::optional<HotEntry> ReadHotCommand(std::string_view entry) {
  HotEntry hot;
  int variants = 0;
  FieldReader reader(entry);
  for (Field field; reader.Next(field);) {
    if (field.number == kCommandRequestId && field.type == Type::kVarint) {
      hot.request_id = static_cast<uint32_t>(field.varint);
    } else if (field.number == kCommandTransportId && field.type == Type::kVarint) {
      hot.transport_id = static_cast<uint32_t>(field.varint);
    } else if (field.number == kCommandWrite && field.type == Type::kLengthDelimited) {
      hot.data = field.bytes;
      ++variants;
    } else if (field.number == kCommandSendto && field.type == Type::kLengthDelimited) {
      if (!ReadDatagram(field.bytes, hot)) return std::nullopt;
      ++variants;
    } else {
      return std::nullopt;
    }
  }
  if (!reader.ok() || variants != 1) return std::nullopt;
  return hot;
}

std::optional<HotEntry> ReadHotCallback(std::string_view entry) {
  HotEntry hot;
  int variants = 0;
  FieldReader reader(entry);
  for (Field field; reader.Next(field);) {
    if (field.number == kCallbackTransportId && field.type == Type::kVarint) {
      hot.transport_id = static_cast<uint32_t>(field.varint);
    } else if (field.number == kCallbackDataReceived && field.type == Type::kLengthDelimited) {
      hot.data = field.bytes;
      ++variants;
    } else if (field.number == kCallbackWriteProgress && field.type == Type::kVarint) {
      hot.sent_bytes = field.varint;
      hot.kind = HotEntry::Kind::kProgress;
      ++variants;
    } else if (field.number == kCallbackDatagramReceived && field.type == Type::kLengthDelimited) {
      if (!ReadDatagram(field.bytes, hot)) return std::nullopt;
      ++variants;
    } else {
      return std::nullopt;
    }
  }
  if (!reader.ok() || variants != 1) return std::nullopt;
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
