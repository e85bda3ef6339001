#include "tests/conformance/trace.h"

#include <zlib.h>

#include <numeric>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

std::string Pattern(size_t size_bytes) {
  std::string block(251, '\0');
  std::iota(block.begin(), block.end(), 0);
  std::string bytes;
  bytes.reserve(size_bytes);
  while (bytes.size() < size_bytes) bytes.append(block, 0, size_bytes - bytes.size());
  return bytes;
}

std::string DataText(std::string_view data) {
  // A line of a trace is one line of a file, its parts separated by tabs.
  if (data.size() <= 64) {
    return StrCat("\"", std::string(absl::StrReplaceAll(ToAbsl(data), {{"\n", "\\n"}, {"\t", "\\t"}})), "\"");
  }
  return absl::StrFormat("<%d bytes, crc32 %08x>", data.size(),
                         crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
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
