#include "transports/base/utf8.h"

#include "absl/strings/escaping.h"
#include "transports/base/str_cat.h"

namespace transportd {

size_t Utf8Length(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  const size_t length = lead < 0x80 ? 1 : lead >> 5 == 0x6 ? 2 : lead >> 4 == 0xe ? 3 : lead >> 3 == 0x1e ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (at(i) >> 6 != 0x2) return 0;
  }
  // Overlong forms, surrogates, and what is beyond U+10FFFF.
  if (length == 2 && lead < 0xc2) return 0;
  if (length == 3 && ((lead == 0xe0 && at(1) < 0xa0) || (lead == 0xed && at(1) >= 0xa0))) return 0;
  if (length == 4 && ((lead == 0xf0 && at(1) < 0x90) || lead > 0xf4 || (lead == 0xf4 && at(1) >= 0x90))) return 0;
  return length;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string Utf8OrEscaped(std::string_view text) {
  return IsUtf8(text) ? std::string(text) : absl::CEscape(ToAbsl(text));
}

}  // namespace transportd
