#include "server/policy/json_value.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

#include "server/policy/ascii.h"
#include "transports/base/str_cat.h"
#include "transports/base/utf8.h"

namespace transportd {
namespace {

constexpr int kMaxJsonDepth = 32;

void AppendUtf8(uint32_t code_point, std::string& out) {
  const auto add = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) return add(code_point);
  if (code_point < 0x800) {
    add(0xc0 | code_point >> 6);
  } else {
    if (code_point < 0x10000) {
      add(0xe0 | code_point >> 12);
    } else {
      add(0xf0 | code_point >> 18);
      add(0x80 | (code_point >> 12 & 0x3f));
    }
    add(0x80 | (code_point >> 6 & 0x3f));
  }
  add(0x80 | (code_point & 0x3f));
}

// Reads from the front to the end, once. The first error ends it: each function is false then.
class JsonReader final {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  absl::StatusOr<JsonValue> Read() {
    JsonValue value;
    if (ReadValue(value, 0)) {
      SkipSpace();
      if (at_ == text_.size()) return value;
      Fail("nothing may follow the value");
    }
    return absl::InvalidArgumentError(ToAbsl(StrCat(LineAndColumn(text_, error_offset_), ": ", error_)));
  }

 private:
  bool Fail(std::string_view message, std::optional<size_t> offset = {}) {
    error_offset_ = offset.value_or(at_);
    error_ = at_ == text_.size() && !offset ? StrCat("the text ends here: ", message) : std::string(message);
    return false;
  }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool Take(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  void SkipSpace() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  bool ReadValue(JsonValue& out, int depth) {
    SkipSpace();
    out.offset_bytes = at_;
    switch (Peek()) {
      case '{':
      case '[':
        if (depth == kMaxJsonDepth) return Fail(StrCat("at most ", kMaxJsonDepth, " values may be inside each other"));
        return Peek() == '{' ? ReadObject(out, depth + 1) : ReadArray(out, depth + 1);
      case '"':
        out.kind = JsonValue::Kind::kString;
        return ReadString(out.text);
      case 'n':
        return ReadWord("null", JsonValue::Kind::kNull, out);
      case 't':
        return ReadWord("true", JsonValue::Kind::kTrue, out);
      case 'f':
        return ReadWord("false", JsonValue::Kind::kFalse, out);
      default:
        return ReadNumber(out);
    }
  }

  bool FailNoValue(std::optional<size_t> offset = {}) {
    return Fail("here must come a value: text in double quotes, a number, true, false, [ … ] or { … }", offset);
  }

  bool ReadWord(std::string_view word, JsonValue::Kind kind, JsonValue& out) {
    if (text_.substr(at_, word.size()) != word) return FailNoValue();
    out.kind = kind;
    at_ += word.size();
    return true;
  }

  bool ReadDigits() {
    if (!IsDigit(Peek())) return false;
    while (IsDigit(Peek())) ++at_;
    return true;
  }

  bool ReadNumber(JsonValue& out) {
    const size_t begin = at_;
    Take('-');
    if (!IsDigit(Peek())) return FailNoValue(begin);
    if (Take('0') ? IsDigit(Peek()) : !ReadDigits()) return Fail("a number does not begin with 0", begin);
    if (Take('.') && !ReadDigits()) return Fail("a digit is missing");
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!ReadDigits()) return Fail("a digit is missing");
    }
    out.kind = JsonValue::Kind::kNumber;
    out.text = std::string(text_.substr(begin, at_ - begin));
    return true;
  }

  bool ReadArray(JsonValue& out, int depth) {
    out.kind = JsonValue::Kind::kArray;
    ++at_;
    SkipSpace();
    if (Take(']')) return true;
    for (;;) {
      if (!ReadValue(out.elements.emplace_back(), depth)) return false;
      SkipSpace();
      if (Take(']')) return true;
      if (!Take(',')) return Fail("here must come `,` or `]`");
    }
  }

  bool ReadObject(JsonValue& out, int depth) {
    out.kind = JsonValue::Kind::kObject;
    ++at_;
    SkipSpace();
    if (Take('}')) return true;
    for (;;) {
      SkipSpace();
      JsonName& name = out.names.emplace_back();
      name.offset_bytes = at_;
      if (Peek() != '"') return Fail("here must come a name in double quotes");
      if (!ReadString(name.text)) return false;
      SkipSpace();
      if (!Take(':')) return Fail("here must come `:`");
      if (!ReadValue(out.elements.emplace_back(), depth)) return false;
      SkipSpace();
      if (Take('}')) return CheckNames(out);
      if (!Take(',')) return Fail("here must come `,` or `}`");
    }
  }

  // Sorted, for the text may come from anybody.
  bool CheckNames(const JsonValue& object) {
    std::vector<const JsonName*> names;
    names.reserve(object.names.size());
    for (const JsonName& name : object.names) names.push_back(&name);
    std::stable_sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return a->text < b->text; });
    const auto found =
        std::adjacent_find(names.begin(), names.end(), [](const auto* a, const auto* b) { return a->text == b->text; });
    if (found == names.end()) return true;
    const JsonName& second = **(found + 1);
    return Fail(StrCat("`", second.text, "` is there twice"), second.offset_bytes);
  }

  bool ReadString(std::string& out) {
    ++at_;
    const size_t begin = at_;
    size_t plain = begin;  // Where what is not yet in `out` begins.
    const auto copy = [&] { out.append(text_.substr(plain, at_ - plain)); };
    for (;;) {
      if (at_ == text_.size()) return Fail("this text has no end", begin - 1);
      const char c = text_[at_];
      if (static_cast<unsigned char>(c) < 0x20)
        return Fail("a control character, as a line's end, is written \\n or \\u000a");
      if (c == '"') break;
      if (c != '\\') {
        ++at_;
        continue;
      }
      copy();
      if (!ReadEscape(out)) return false;
      plain = at_;
    }
    copy();
    if (!IsUtf8(text_.substr(begin, at_ - begin))) return Fail("the text must be UTF-8", begin - 1);
    ++at_;
    return true;
  }

  bool ReadEscape(std::string& out) {
    const size_t begin = at_++;
    constexpr std::string_view kEscapes = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const size_t which = at_ < text_.size() ? kEscapes.find(text_[at_]) : std::string_view::npos;
    if (which != std::string_view::npos) {
      out.push_back(kMeanings[which]);
      ++at_;
      return true;
    }
    uint32_t code_point = 0;
    if (!Take('u') || !ReadHex(code_point))
      return Fail(R"(after \ must come one of " \ / b f n r t, or u and four hexadecimal digits)", begin);
    const bool is_low = code_point >= 0xdc00 && code_point < 0xe000;
    if (code_point >= 0xd800 && code_point < 0xdc00) {
      uint32_t low = 0;
      if (!Take('\\') || !Take('u') || !ReadHex(low) || low < 0xdc00 || low >= 0xe000) {
        return Fail("half of a surrogate pair", begin);
      }
      code_point = 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00);
    } else if (is_low) {
      return Fail("half of a surrogate pair", begin);
    }
    AppendUtf8(code_point, out);
    return true;
  }

  bool ReadHex(uint32_t& out) {
    for (int i = 0; i < 4; ++i) {
      const char c = Peek();
      const int digit = IsDigit(c)             ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return false;
      out = out << 4 | static_cast<uint32_t>(digit);
      ++at_;
    }
    return true;
  }

  const std::string_view text_;
  size_t at_ = 0;
  std::string error_;
  size_t error_offset_ = 0;
};

}  // namespace

const JsonValue* JsonValue::Find(std::string_view name) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].text == name) return &elements[i];
  }
  return nullptr;
}

absl::StatusOr<JsonValue> ParseJson(std::string_view text) { return JsonReader(text).Read(); }

std::string LineAndColumn(std::string_view text, size_t offset_bytes) {
  const std::string_view before = text.substr(0, offset_bytes);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0.
  return StrCat(line, ":", column);
}

}  // namespace transportd
