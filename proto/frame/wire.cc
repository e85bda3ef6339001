#include "proto/frame/wire.h"

namespace transportd::wire {

bool FieldReader::ReadVarint(size_t max_bytes, uint64_t& value) {
  value = 0;
  for (size_t i = 0; i < rest_.size() && i < max_bytes; ++i) {
    const auto byte = static_cast<uint8_t>(rest_[i]);
    // The tenth byte holds bit 63 only; protobuf's own decoder drops what does not fit, and so does this one.
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      rest_.remove_prefix(i + 1);
      return true;
    }
  }
  return Fail();
}

bool FieldReader::ReadFixed(size_t width_bytes, uint64_t& value) {
  if (rest_.size() < width_bytes) return Fail();
  value = 0;
  for (size_t i = 0; i < width_bytes; ++i) value |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[i])) << (8 * i);
  rest_.remove_prefix(width_bytes);
  return true;
}

bool FieldReader::ReadTag(uint32_t& number, Type& type) {
  uint64_t tag = 0;
  if (!ReadVarint(kMaxVarint32Bytes, tag)) return false;
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return Fail();
  number = static_cast<uint32_t>(tag >> 3);
  type = static_cast<Type>(tag & 7);
  return true;
}

bool FieldReader::Next(Field& field) {
  if (!ok_ || rest_.empty()) return false;
  if (!ReadTag(field.number, field.type)) return false;
  switch (field.type) {
    case Type::kVarint:
      return ReadVarint(kMaxVarint64Bytes, field.varint);
    case Type::kFixed64:
      return ReadFixed(8, field.varint);
    case Type::kFixed32:
      return ReadFixed(4, field.varint);
    case Type::kLengthDelimited: {
      uint64_t size_bytes = 0;
      if (!ReadVarint(kMaxVarint32Bytes, size_bytes)) return false;
      if (size_bytes > rest_.size()) {
        if (size_bytes - rest_.size() != missing_bytes_) return Fail();
        missing_bytes_ = 0;
        size_bytes = rest_.size();
      }
      field.bytes = rest_.substr(0, size_bytes);
      rest_.remove_prefix(size_bytes);
      return true;
    }
    default:
      return Fail();
  }
}

std::optional<FieldHead> ReadFieldHead(std::string_view begin) {
  FieldReader reader(begin);
  FieldHead head;
  if (!reader.ReadTag(head.number, head.type)) return std::nullopt;
  head.head_bytes = begin.size() - reader.rest_.size();
  uint64_t value = 0;
  switch (head.type) {
    case Type::kVarint:
      if (!reader.ReadVarint(kMaxVarint64Bytes, value)) return std::nullopt;
      head.size_bytes = begin.size() - reader.rest_.size();
      return head;
    case Type::kFixed64:
      head.size_bytes = head.head_bytes + 8;
      return head;
    case Type::kFixed32:
      head.size_bytes = head.head_bytes + 4;
      return head;
    case Type::kLengthDelimited:
      if (!reader.ReadVarint(kMaxVarint32Bytes, value)) return std::nullopt;
      head.head_bytes = begin.size() - reader.rest_.size();
      head.size_bytes = head.head_bytes + value;
      return head;
    default:
      return std::nullopt;
  }
}

}  // namespace transportd::wire
