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

bool FieldReader::Next(Field& field) {
  if (!ok_ || rest_.empty()) return false;
  uint64_t tag = 0;
  if (!ReadVarint(kMaxVarint32Bytes, tag)) return false;
  const uint64_t number = tag >> 3;
  if (number == 0 || number > 0x1fffffff) return Fail();
  field.number = static_cast<uint32_t>(number);
  field.type = static_cast<Type>(tag & 7);
  switch (field.type) {
    case Type::kVarint:
      return ReadVarint(kMaxVarint64Bytes, field.varint);
    case Type::kFixed64:
      return ReadFixed(8, field.varint);
    case Type::kFixed32:
      return ReadFixed(4, field.varint);
    case Type::kLengthDelimited: {
      uint64_t size_bytes = 0;
      if (!ReadVarint(kMaxVarint32Bytes, size_bytes) || size_bytes > rest_.size()) return Fail();
      field.bytes = rest_.substr(0, size_bytes);
      rest_.remove_prefix(size_bytes);
      return true;
    }
    default:
      return Fail();
  }
}

}  // namespace transportd::wire
