// The few pieces of protobuf's wire format that the hot path writes and reads by hand.
// https://protobuf.dev/programming-guides/encoding/
#ifndef TRANSPORTD_PROTO_FRAME_WIRE_H_
#define TRANSPORTD_PROTO_FRAME_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace transportd::wire {

enum class Type : uint8_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

// The first byte of a field whose number is below 16.
constexpr char Tag(uint32_t field_number, Type type) {
  return static_cast<char>(field_number << 3 | static_cast<uint32_t>(type));
}

// A 32-bit value takes 5 bytes at the most, a 64-bit one 10.
constexpr size_t kMaxVarint32Bytes = 5;
constexpr size_t kMaxVarint64Bytes = 10;

// Writes `value` at `out`; returns the end. Room for the longest form must be there.
inline char* PutVarint(char* out, uint64_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

// Writes `value` in exactly `width_bytes` bytes, with redundant high zeros, which every decoder takes: for a length
// that is known only after what it counts. `value` < 2^(7 * width_bytes).
inline char* PutPaddedVarint(char* out, uint64_t value, size_t width_bytes) {
  for (size_t i = 1; i < width_bytes; ++i) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value & 0x7f);
  return out;
}

inline size_t VarintBytes(uint64_t value) {
  size_t count = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++count;
  }
  return count;
}

// One field of a message. Threading: a value.
struct Field {
  uint32_t number = 0;
  Type type = Type::kVarint;
  uint64_t varint = 0;     // kVarint, kFixed32, kFixed64.
  std::string_view bytes;  // kLengthDelimited.
};

// Reads a message field by field. Groups, which proto3 does not have, count as malformed; as in protobuf's own decoder,
// so do a tag and a length of more than five bytes. Threading: a value.
class FieldReader final {
 public:
  explicit FieldReader(std::string_view message) : rest_(message) {}

  // The next field; false at the end of the message or when it is malformed: see ok().
  bool Next(Field& field);
  bool ok() const { return ok_; }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }
  bool ReadVarint(size_t max_bytes, uint64_t& value);
  bool ReadFixed(size_t width_bytes, uint64_t& value);

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace transportd::wire

#endif  // TRANSPORTD_PROTO_FRAME_WIRE_H_
