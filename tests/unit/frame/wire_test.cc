#include "proto/frame/wire.h"

#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace transportd::wire {

namespace {

std::string Varint(uint64_t value) {
  char bytes[kMaxVarint64Bytes];
  return {bytes, PutVarint(bytes, value)};
}

std::string PaddedVarint(uint64_t value, size_t width_bytes) {
  char bytes[kMaxVarint64Bytes];
  return {bytes, PutPaddedVarint(bytes, value, width_bytes)};
}

// What a reader makes of `varint` as field 1.
uint64_t Read(const std::string& varint) {
  const std::string message = absl::StrCat("\x08", varint);
  FieldReader reader(message);
  Field field;
  EXPECT_TRUE(reader.Next(field));
  EXPECT_EQ(field.number, 1u);
  EXPECT_EQ(field.type, Type::kVarint);
  const uint64_t value = field.varint;
  EXPECT_FALSE(reader.Next(field));
  EXPECT_TRUE(reader.ok());
  return value;
}

bool IsMalformed(const std::string& message) {
  FieldReader reader(message);
  for (Field field; reader.Next(field);) {
  }
  return !reader.ok();
}

TEST(Varint, HasTheLengthThatVarintBytesSays) {
  EXPECT_EQ(Varint(0), std::string("\0", 1));
  EXPECT_EQ(Varint(127), "\x7f");
  EXPECT_EQ(Varint(128), "\x80\x01");
  EXPECT_EQ(Varint(300), "\xac\x02");
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t value : {(uint64_t{1} << bit) - 1, uint64_t{1} << bit}) {
      EXPECT_EQ(Varint(value).size(), VarintBytes(value)) << value;
    }
  }
  EXPECT_EQ(VarintBytes(std::numeric_limits<uint32_t>::max()), kMaxVarint32Bytes);
  EXPECT_EQ(VarintBytes(std::numeric_limits<uint64_t>::max()), kMaxVarint64Bytes);
}

TEST(Varint, IsReadBack) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t value : {(uint64_t{1} << bit) - 1, uint64_t{1} << bit, ~uint64_t{0} >> (63 - bit)}) {
      EXPECT_EQ(Read(Varint(value)), value);
    }
  }
}

TEST(PaddedVarint, IsReadAsTheShortOne) {
  EXPECT_EQ(PaddedVarint(1, 4), std::string("\x81\x80\x80\x00", 4));
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{127}, uint64_t{128}, uint64_t{16383}, uint64_t{16384},
                               (uint64_t{1} << 28) - 1}) {
    EXPECT_EQ(PaddedVarint(value, 4).size(), 4u);
    EXPECT_EQ(Read(PaddedVarint(value, 4)), value);
  }
  EXPECT_EQ(Read(PaddedVarint(std::numeric_limits<uint32_t>::max(), 5)), std::numeric_limits<uint32_t>::max());
}

TEST(FieldReader, ReadsFixedFieldsLittleEndian) {
  const std::string message = std::string("\x0d\x01\x02\x03\x04", 5) + std::string("\x11\x01\0\0\0\0\0\0\x80", 9);
  FieldReader reader(message);
  Field field;
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.type, Type::kFixed32);
  EXPECT_EQ(field.varint, 0x04030201u);
  ASSERT_TRUE(reader.Next(field));
  EXPECT_EQ(field.type, Type::kFixed64);
  EXPECT_EQ(field.varint, 0x8000000000000001u);
  EXPECT_FALSE(reader.Next(field));
  EXPECT_TRUE(reader.ok());
}

TEST(FieldReader, RefusesWhatIsCutShort) {
  EXPECT_TRUE(IsMalformed("\x08"));              // A varint without bytes.
  EXPECT_TRUE(IsMalformed("\x08\x80"));          // One that goes on.
  EXPECT_TRUE(IsMalformed("\x0d\x01\x02\x03"));  // Three bytes of four.
  EXPECT_TRUE(IsMalformed("\x11\x01\x02\x03\x04\x05\x06\x07"));
  EXPECT_TRUE(IsMalformed("\x0a\x02x"));  // One byte of two.
  EXPECT_TRUE(IsMalformed("\x80"));       // Half a tag.
}

TEST(FieldReader, RefusesALengthBeyondAllMemory) {
  EXPECT_TRUE(IsMalformed(absl::StrCat("\x0a", Varint(std::numeric_limits<uint64_t>::max()), "x")));
}

TEST(FieldReader, RefusesGroupsAndUnknownTypes) {
  for (const char type : {'\x0b', '\x0c', '\x0e', '\x0f'}) EXPECT_TRUE(IsMalformed({type, 1}));
}

TEST(FieldReader, RefusesFieldNumbersOutOfRange) {
  EXPECT_TRUE(IsMalformed(std::string("\x00\x01", 2)));
  EXPECT_FALSE(IsMalformed(absl::StrCat(Varint(uint64_t{0x1fffffff} << 3), "\x01")));
  EXPECT_TRUE(IsMalformed(absl::StrCat(Varint(uint64_t{0x20000000} << 3), "\x01")));
}

TEST(FieldReader, RefusesAVarintOfElevenBytes) {
  EXPECT_FALSE(IsMalformed(absl::StrCat("\x08", std::string(9, '\x80'), "\x01")));
  EXPECT_TRUE(IsMalformed(absl::StrCat("\x08", std::string(10, '\x80'), "\x01")));
}

TEST(FieldReader, RefusesATagAndALengthOfSixBytes) {
  EXPECT_FALSE(IsMalformed(absl::StrCat(PaddedVarint(0x08, 5), "\x01")));
  EXPECT_TRUE(IsMalformed(absl::StrCat(PaddedVarint(0x08, 6), "\x01")));
  EXPECT_FALSE(IsMalformed(absl::StrCat("\x0a", PaddedVarint(1, 5), "x")));
  EXPECT_TRUE(IsMalformed(absl::StrCat("\x0a", PaddedVarint(1, 6), "x")));
}

TEST(FieldReader, FindsNothingInAnEmptyMessage) { EXPECT_FALSE(IsMalformed("")); }

}  // namespace

}  // namespace transportd::wire
