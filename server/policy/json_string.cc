#include "server/policy/json_string.h"

#include <array>
#include <cstdint>

#include "transports/base/utf8.h"

namespace transportd {
namespace {

// Of one well-formed character of at most three bytes; 0xffffffff for longer ones, of which none needs an escape.
uint32_t CodePoint(std::string_view character) {
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(character[i])); };
  switch (character.size()) {
    case 1:
      return at(0);
    case 2:
      return (at(0) & 0x1f) << 6 | (at(1) & 0x3f);
    case 3:
      return (at(0) & 0x0f) << 12 | (at(1) & 0x3f) << 6 | (at(2) & 0x3f);
    default:
      return 0xffffffff;
  }
}

bool NeedsEscape(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c ||  // Arabic letter mark.
         (code >= 0x200b && code <= 0x200f) ||                             // Zero width, direction marks.
         (code >= 0x2028 && code <= 0x202e) ||                             // Line separators, direction overrides.
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;             // Isolates; the byte order mark.
}

// `\u202e`.
std::array<char, 6> Escaped(uint32_t code) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {
      '\\', 'u', kDigits[code >> 12 & 0xf], kDigits[code >> 8 & 0xf], kDigits[code >> 4 & 0xf], kDigits[code & 0xf]};
}

}  // namespace

bool AppendJsonString(std::string_view text, size_t max_bytes, std::string& out) {
  constexpr uint32_t kReplacement = 0xfffd;
  out += '"';
  const size_t end = out.size() + max_bytes;
  bool whole = true;
  while (!text.empty()) {
    // What is plain is copied in one piece.
    size_t plain_bytes = 0;
    while (plain_bytes < text.size() && text[plain_bytes] >= 0x20 && text[plain_bytes] < 0x7f &&
           text[plain_bytes] != '"' && text[plain_bytes] != '\\') {
      ++plain_bytes;
    }
    if (plain_bytes > 0) {
      const size_t taken_bytes = plain_bytes < end - out.size() ? plain_bytes : end - out.size();
      out += text.substr(0, taken_bytes);
      if (taken_bytes < plain_bytes) {
        whole = false;
        break;
      }
      text.remove_prefix(plain_bytes);
      continue;
    }
    const size_t length = Utf8Length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    const uint32_t code = length == 0 ? kReplacement : CodePoint(character);
    std::array<char, 6> buffer{};
    std::string_view piece = character;
    if (code == '"' || code == '\\') {
      buffer[0] = '\\';
      buffer[1] = static_cast<char>(code);
      piece = {buffer.data(), 2};
    } else if (length == 0 || NeedsEscape(code)) {
      buffer = Escaped(code);
      piece = {buffer.data(), buffer.size()};
    }
    if (piece.size() > end - out.size()) {
      whole = false;
      break;
    }
    out += piece;
    text.remove_prefix(character.size());
  }
  out += '"';
  return whole;
}

}  // namespace transportd
