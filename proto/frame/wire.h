// The few pieces of protobuf's wire format that the hot path writes and reads by hand.
// https://protobuf.dev/programming-guides/encoding/
#ifndef TRANSPORTD_PROTO_FRAME_WIRE_H_
#define TRANSPORTD_PROTO_FRAME_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
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
  // `missing_bytes`: how much of the message's end is elsewhere. It must belong to one length-delimited field that
  // begins in `message`, whose bytes then are those that are there.
  explicit FieldReader(std::string_view message, size_t missing_bytes = 0)
      : rest_(message), missing_bytes_(missing_bytes) {}

  // The next field; false at the end of the message or when it is malformed: see ok().
  bool Next(Field& field);
  bool ok() const { return ok_; }
  // No field read so far was the one that lacks its end.
  bool misses_bytes() const { return missing_bytes_ != 0; }
  // What is left to read, while ok().
  std::string_view rest() const { return rest_; }

 private:
  bool Fail() {
    ok_ = false;
    return false;
  }
  friend std::optional<struct FieldHead> ReadFieldHead(std::string_view begin);
  bool ReadTag(uint32_t& number, Type& type);
  bool ReadVarint(size_t max_bytes, uint64_t& value);
  bool ReadFixed(size_t width_bytes, uint64_t& value);

  std::string_view rest_;
  size_t missing_bytes_;
  bool ok_ = true;
};

// What the first bytes of a field tell. Threading: a value.
struct FieldHead {
  uint32_t number = 0;
  Type type = Type::kVarint;
  size_t head_bytes = 0;    // Of tag and length; of the tag alone where there is no length.
  uint64_t size_bytes = 0;  // Of all of it.
};

// So many bytes tell, whatever the field.
inline constexpr size_t kMaxFieldHeadBytes = kMaxVarint32Bytes + kMaxVarint64Bytes;

// Of the field that begins at `begin`, with the first kMaxFieldHeadBytes of it, or all of it where it is shorter.
// Nothing: malformed.
std::optional<FieldHead> ReadFieldHead(std::string_view begin);

}  // namespace transportd::wire

#endif  // TRANSPORTD_PROTO_FRAME_WIRE_H_
