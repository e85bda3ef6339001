#include "tests/conformance/trace.h"

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

// zlib's CRC-32, which Python has built in.
uint32_t Crc32(std::string_view data) {
  static constexpr std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? 0xedb88320u ^ (value >> 1) : value >> 1;
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = 0xffffffffu;
  for (const char byte : data) crc = kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff] ^ (crc >> 8);
  return crc ^ 0xffffffffu;
}

}  // namespace

std::string Pattern(size_t size_bytes) {
  constexpr size_t kBlockBytes = 251;
  std::string bytes(size_bytes, '\0');
  for (size_t i = 0; i < size_bytes; ++i) bytes[i] = static_cast<char>(i % kBlockBytes);
  return bytes;
}

std::string DataText(std::string_view data) {
  // A line of a trace is one line of a file, its parts separated by tabs.
  if (data.size() <= 64) {
    return StrCat("\"", std::string(absl::StrReplaceAll(ToAbsl(data), {{"\n", "\\n"}, {"\t", "\\t"}})), "\"");
  }
  return absl::StrFormat("<%d bytes, crc32 %08x>", data.size(), Crc32(data));
}

void Trace::Add(std::string line) {
  EndData();
  lines_.push_back(std::move(line));
}

void Trace::AddData(std::string_view kind, std::string_view data) {
  if (kind != kind_) {
    EndData();
    kind_ = kind;
  }
  data_ += data;
}

void Trace::EndData() {
  if (kind_.empty()) return;
  lines_.push_back(StrCat(kind_, " ", DataText(data_)));
  kind_.clear();
  data_.clear();
}

}  // namespace transportd::conformance
