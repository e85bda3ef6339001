#include "clients/cpp/transportctl/printable.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "transports/base/str_cat.h"
#include "transports/base/utf8.h"

namespace transportd::ctl {
namespace {

// `character`: one, well-formed.
bool IsControl(std::string_view character) {
  const auto first = static_cast<unsigned char>(character.front());
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  if (character.size() == 2) return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
  return character == "\u2028" || character == "\u2029";
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    const std::string_view piece = text.substr(0, std::max<size_t>(length, 1));
    if (length == 0 || IsControl(piece)) {
      out += absl::CHexEscape(ToAbsl(piece));
    } else {
      out += piece;
    }
    text.remove_prefix(piece.size());
  }
  return out;
}

}  // namespace transportd::ctl
