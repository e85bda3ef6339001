#include "transports/base/utf8.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "transports/base/str_cat.h"

namespace transportd {

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t count = 0;
    uint32_t code = 0;
    uint32_t least = 0;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead >> 5 == 0x6) {
      count = 1, code = lead & 0x1f, least = 0x80;
    } else if (lead >> 4 == 0xe) {
      count = 2, code = lead & 0x0f, least = 0x800;
    } else if (lead >> 3 == 0x1e) {
      count = 3, code = lead & 0x07, least = 0x10000;
    } else {
      return false;
    }
    if (text.size() - i <= count) return false;
    for (size_t k = 1; k <= count; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if (next >> 6 != 0x2) return false;
      code = code << 6 | (next & 0x3f);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    i += count + 1;
  }
  return true;
}

std::string Utf8OrEscaped(std::string_view text) {
  return IsUtf8(text) ? std::string(text) : absl::CEscape(ToAbsl(text));
}

}  // namespace transportd
