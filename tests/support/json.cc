#include "tests/support/json.h"

#include <cstdint>
#include <utility>

#include "transports/base/utf8.h"

namespace transportd {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendUtf8(uint32_t code, std::string& out) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

class Parser final {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  bool Value(Json& value, int depth = 0) {
    if (depth > 32) return false;
    Space();
    if (rest_.empty()) return false;
    switch (rest_.front()) {
      case '{':
        return Object(value, depth);
      case '[':
        return Array(value, depth);
      case '"':
        value.kind = Json::Kind::kString;
        return String(value.text);
      case 't':
        return Word("true", Json::Kind::kBool, value);
      case 'f':
        return Word("false", Json::Kind::kBool, value);
      case 'n':
        return Word("null", Json::Kind::kNull, value);
      default:
        return Number(value);
    }
  }
  bool AtEnd() {
    Space();
    return rest_.empty();
  }

 private:
  void Space() {
    while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_.front()) != rest_.npos) rest_.remove_prefix(1);
  }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Word(std::string_view word, Json::Kind kind, Json& value) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    value.kind = kind;
    value.text = word;
    return true;
  }

  bool Object(Json& value, int depth) {
    value.kind = Json::Kind::kObject;
    Take('{');
    Space();
    if (Take('}')) return true;
    while (true) {
      std::string key;
      Space();
      if (!String(key)) return false;
      Space();
      if (!Take(':')) return false;
      Json member;
      if (!Value(member, depth + 1) || !value.members.emplace(std::move(key), std::move(member)).second) return false;
      Space();
      if (Take('}')) return true;
      if (!Take(',')) return false;
    }
  }

  bool Array(Json& value, int depth) {
    value.kind = Json::Kind::kArray;
    Take('[');
    Space();
    if (Take(']')) return true;
    while (true) {
      if (!Value(value.items.emplace_back(), depth + 1)) return false;
      Space();
      if (Take(']')) return true;
      if (!Take(',')) return false;
    }
  }

  bool Digits() {
    size_t count = 0;
    while (count < rest_.size() && IsDigit(rest_[count])) ++count;
    rest_.remove_prefix(count);
    return count > 0;
  }
  bool Number(Json& value) {
    value.kind = Json::Kind::kNumber;
    const std::string_view begin = rest_;
    Take('-');
    if (!Take('0') && !Digits()) return false;
    if (Take('.') && !Digits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!Digits()) return false;
    }
    value.text = begin.substr(0, begin.size() - rest_.size());
    return true;
  }

  bool String(std::string& out) {
    if (!Take('"')) return false;
    while (!rest_.empty()) {
      if (Take('"')) return true;
      if (static_cast<unsigned char>(rest_.front()) < 0x20) return false;
      if (Take('\\')) {
        if (!Escape(out)) return false;
        continue;
      }
      const size_t length = Utf8Length(rest_);
      if (length == 0) return false;
      out += rest_.substr(0, length);
      rest_.remove_prefix(length);
    }
    return false;
  }

  bool Escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (rest_.empty()) return false;
    const char letter = rest_.front();
    rest_.remove_prefix(1);
    if (const size_t which = kLetters.find(letter); which != kLetters.npos) {
      out += kMeanings[which];
      return true;
    }
    uint32_t code = 0;
    if (letter != 'u' || !Hex(code)) return false;
    if (code >= 0xdc00 && code < 0xe000) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      uint32_t low = 0;
      if (!Take('\\') || !Take('u') || !Hex(low) || low < 0xdc00 || low >= 0xe000) return false;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    AppendUtf8(code, out);
    return true;
  }
  bool Hex(uint32_t& code) {
    if (rest_.size() < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      uint32_t digit = 0;
      if (IsDigit(c)) {
        digit = static_cast<uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<uint32_t>(c - 'A' + 10);
      } else {
        return false;
      }
      code = code << 4 | digit;
    }
    return true;
  }

  std::string_view rest_;
};

}  // namespace

const Json& Json::operator[](const std::string& key) const {
  static const Json* const none = new Json;
  const auto found = members.find(key);
  return found == members.end() ? *none : found->second;
}

const Json& Json::At(std::string_view path) const {
  const Json* at = this;
  while (true) {
    const size_t dot = path.find('.');
    at = &(*at)[std::string(path.substr(0, dot))];
    if (dot == path.npos) return *at;
    path.remove_prefix(dot + 1);
  }
}

void PrintTo(const Json& json, std::ostream* out) {
  *out << json.text;
  for (const Json& item : json.items) {
    *out << (&item == json.items.data() ? "[" : ", ");
    PrintTo(item, out);
  }
  if (!json.items.empty()) *out << ']';
  for (const auto& [key, member] : json.members) {
    *out << ' ' << key << '=';
    PrintTo(member, out);
  }
}

std::optional<Json> ReadJson(std::string_view text) {
  Parser parser(text);
  Json value;
  if (!parser.Value(value) || !parser.AtEnd()) return std::nullopt;
  return value;
}

}  // namespace transportd
