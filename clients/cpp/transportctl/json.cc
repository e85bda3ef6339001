#include "clients/cpp/transportctl/json.h"

#include <array>
#include <cstdio>

#include "absl/strings/escaping.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// How many bytes of well-formed UTF-8 begin `text`, one character; 0: none.
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

}  // namespace

std::string JsonString(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const char c = text.front();
    const size_t length = Utf8Length(text);
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escaped.data();
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
  return out;
}

std::string Base64(std::string_view bytes) { return absl::Base64Escape(ToAbsl(bytes)); }

JsonObject& JsonObject::AddRaw(std::string_view name, std::string_view value) {
  if (text_.size() > 1) text_ += ',';
  text_ += JsonString(name);
  text_ += ':';
  text_ += value;
  return *this;
}

}  // namespace transportd::ctl
