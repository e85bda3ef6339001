#include "clients/cpp/transportctl/key_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "transports/base/utf8.h"

namespace transportd::ctl {
namespace {

constexpr char kEscape = '\x1b';
// Nobody's sequence or character is longer.
constexpr size_t kMaxRestBytes = 32;

std::optional<Key::Kind> KindOf(char end, std::string_view parameters) {
  switch (end) {
    case 'A':
      return Key::Kind::kUp;
    case 'B':
      return Key::Kind::kDown;
    case 'C':
      return Key::Kind::kRight;
    case 'D':
      return Key::Kind::kLeft;
    case 'H':
      return Key::Kind::kHome;
    case 'F':
      return Key::Kind::kEnd;
    case '~':
      break;
    default:
      return std::nullopt;
  }
  const std::string_view number = parameters.substr(0, parameters.find(';'));
  if (number == "5") return Key::Kind::kPageUp;
  if (number == "6") return Key::Kind::kPageDown;
  if (number == "1" || number == "7") return Key::Kind::kHome;
  if (number == "4" || number == "8") return Key::Kind::kEnd;
  return std::nullopt;
}

// How long the sequence is that begins `text` with an escape; 0: it is not complete. ECMA-48 §5.4: CSI, parameters,
// intermediates, a final byte; and `ESC O` with one byte (xterm's application mode).
size_t SequenceLength(std::string_view text, std::optional<Key::Kind>& kind) {
  if (text[1] == 'O') {
    if (text.size() < 3) return 0;
    kind = KindOf(text[2], "");
    return 3;
  }
  const auto found = std::find_if(text.begin() + 2, text.end(), [](char c) { return c >= 0x40 && c <= 0x7e; });
  const auto end = static_cast<size_t>(found - text.begin());
  if (end == text.size()) return 0;
  kind = KindOf(text[end], text.substr(2, end - 2));
  return end + 1;
}

Key KeyOf(std::string_view character) {
  const char c = character.front();
  if (c == '\r' || c == '\n') return {.kind = Key::Kind::kEnter};
  if (c == 0x7f || c == '\b') return {.kind = Key::Kind::kBackspace};
  if (c == kEscape) return {.kind = Key::Kind::kEscape};
  if (c >= 0 && c < 0x20) return {.kind = Key::Kind::kControl, .text = std::string(1, static_cast<char>(c + 0x60))};
  return {.kind = Key::Kind::kCharacter, .text = std::string(character)};
}

}  // namespace

std::vector<Key> KeyReader::Feed(std::string_view bytes) {
  const std::string all = std::exchange(rest_, "") + std::string(bytes);
  std::string_view text = all;
  std::vector<Key> keys;
  while (!text.empty()) {
    const bool is_sequence = text.size() > 1 && text[0] == kEscape && (text[1] == '[' || text[1] == 'O');
    if (is_sequence) {
      std::optional<Key::Kind> kind;
      const size_t length = SequenceLength(text, kind);
      if (length == 0) break;
      if (kind) keys.push_back({.kind = *kind});
      text.remove_prefix(length);
      continue;
    }
    const size_t length = Utf8Length(text);
    const bool is_begun = length == 0 && text.size() < 4 && static_cast<unsigned char>(text.front()) >= 0xc2 &&
                          std::all_of(text.begin() + 1, text.end(), [](char c) { return (c & 0xc0) == 0x80; });
    if (is_begun) break;
    if (length > 0) keys.push_back(KeyOf(text.substr(0, length)));
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  if (text.size() <= kMaxRestBytes) rest_ = std::string(text);
  return keys;
}

}  // namespace transportd::ctl
