#include "server/policy/json_check.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "transports/base/str_cat.h"
#include "transports/base/utf8.h"

namespace transportd {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;

constexpr int kMaxDepth = 32;

// Reads the text once, from the left. Threading: a value.
class Checker final {
 public:
  Checker(std::string_view text, std::string_view file_name) : text_(text), file_name_(file_name) {}

  absl::Status Check(const Descriptor& message) {
    SkipSpace();
    if (absl::Status status = CheckObject(message, 0); !status.ok()) return status;
    SkipSpace();
    return at_ == text_.size() ? absl::OkStatus() : Fail("something follows the closing `}`");
  }

 private:
  absl::Status FailAt(size_t at, std::string_view what) const {
    size_t line = 1;
    size_t line_begin = 0;
    for (size_t i = 0; i < at && i < text_.size(); ++i) {
      if (text_[i] != '\n') continue;
      ++line;
      line_begin = i + 1;
    }
    return absl::InvalidArgumentError(ToAbsl(StrCat(file_name_, ":", line, ":", at - line_begin + 1, ": ", what)));
  }
  absl::Status Fail(std::string_view what) const { return FailAt(at_, what); }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void SkipSpace() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  // Without the quotes. What is escaped with \u stays so, for no name of ours needs that.
  absl::Status ReadString(std::string_view what, std::string& out) {
    const size_t begin = at_;
    if (!Take('"')) return Fail(StrCat(what, " must stand in double quotes"));
    out.clear();
    while (!Take('"')) {
      if (at_ >= text_.size()) return FailAt(begin, "this string has no end");
      if (static_cast<unsigned char>(text_[at_]) < 0x20) return Fail("a line's end in a string is written \\n");
      if (Take('\\')) {
        constexpr std::string_view kEscapes = "\"\\/bfnrtu";
        if (Peek() == '\0' || kEscapes.find(Peek()) == std::string_view::npos) {
          return Fail(R"(after \ must come one of " \ / b f n r t u)");
        }
        if (Peek() != '"' && Peek() != '\\' && Peek() != '/') out += '\\';
      }
      out += text_[at_++];
    }
    return IsUtf8(out) ? absl::OkStatus() : FailAt(begin, "a string must be UTF-8");
  }

  absl::Status CheckObject(const Descriptor& message, int depth) {
    if (depth > kMaxDepth) return Fail("too many objects in each other");
    if (!Take('{')) return Fail(StrCat("a ", message.name(), " is written { … }"));
    std::vector<const FieldDescriptor*> seen;
    SkipSpace();
    if (Take('}')) return absl::OkStatus();
    for (;;) {
      SkipSpace();
      const size_t begin = at_;
      std::string name;
      if (absl::Status status = ReadString("a name", name); !status.ok()) return status;
      const FieldDescriptor* field = message.FindFieldByName(name);
      if (field == nullptr) field = message.FindFieldByCamelcaseName(name);
      if (field == nullptr) return FailAt(begin, StrCat(message.name(), " has no `", name, "`; ", Names(message)));
      for (const FieldDescriptor* other : seen) {
        if (other == field) return FailAt(begin, StrCat("`", name, "` is given twice"));
      }
      seen.push_back(field);
      SkipSpace();
      if (!Take(':')) return Fail("here must come `:`");
      SkipSpace();
      if (absl::Status status = CheckField(*field, depth); !status.ok()) return status;
      SkipSpace();
      if (Take('}')) return absl::OkStatus();
      if (!Take(',')) return Fail("here must come `,` or `}`");
    }
  }

  absl::Status CheckField(const FieldDescriptor& field, int depth) {
    if (!field.is_repeated()) return CheckValue(field, depth);
    if (!Take('[')) return Fail(StrCat("`", field.name(), "` is a list: [ … ]"));
    SkipSpace();
    if (Take(']')) return absl::OkStatus();
    for (;;) {
      SkipSpace();
      if (absl::Status status = CheckValue(field, depth); !status.ok()) return status;
      SkipSpace();
      if (Take(']')) return absl::OkStatus();
      if (!Take(',')) return Fail("here must come `,` or `]`");
    }
  }

  absl::Status CheckValue(const FieldDescriptor& field, int depth) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (field.message_type()->full_name() == "google.protobuf.Duration") {
          return CheckTime(field, R"(a time as "30s" or "0.5s")");
        }
        if (field.message_type()->full_name() == "google.protobuf.Timestamp") {
          return CheckTime(field, R"(a date as "2027-01-31T12:00:00Z")");
        }
        return CheckObject(*field.message_type(), depth + 1);
      case FieldDescriptor::CPPTYPE_STRING:
        return CheckString(StrCat("`", field.name(), "`"));
      case FieldDescriptor::CPPTYPE_ENUM: {
        const size_t begin = at_;
        std::string name;
        if (absl::Status status = ReadString(StrCat("`", field.name(), "`"), name); !status.ok()) return status;
        if (field.enum_type()->FindValueByName(name) != nullptr) return absl::OkStatus();
        return FailAt(begin, StrCat("`", field.name(), "` cannot be `", name, "`; it is one of ", Values(field)));
      }
      case FieldDescriptor::CPPTYPE_BOOL:
        return TakeWord("true") || TakeWord("false") ? absl::OkStatus()
                                                     : Fail(StrCat("`", field.name(), "` must be true or false"));
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64:
        return CheckInteger(field);
      default:
        return CheckNumber(field);
    }
  }

  absl::Status CheckString(std::string_view what) {
    std::string ignored;
    return ReadString(what, ignored);
  }

  absl::Status CheckTime(const FieldDescriptor& field, std::string_view form) {
    const size_t begin = at_;
    const auto bad = [&] { return FailAt(begin, StrCat("`", field.name(), "` must be ", form)); };
    std::string time;
    if (!ReadString("", time).ok()) return bad();
    // Of the message itself the reader knows whether it is one.
    const std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(field.message_type())->New());
    return google::protobuf::util::JsonStringToMessage("\"" + time + "\"", message.get()).ok() ? absl::OkStatus()
                                                                                               : bad();
  }

  bool TakeWord(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  void TakeDigits(bool& any) {
    for (; Peek() >= '0' && Peek() <= '9'; ++at_) any = true;
  }

  absl::Status CheckInteger(const FieldDescriptor& field) {
    const bool is_wide = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
    const size_t begin = at_;
    // 64 bits are more than JavaScript's numbers hold: protobuf takes them in quotes, too.
    const bool is_quoted = is_wide && Take('"');
    uint64_t value = 0;
    const char* const first = text_.data() + at_;
    const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
    const bool has_zero = end - first > 1 && *first == '0';
    at_ += static_cast<size_t>(end - first);
    const bool is_more = std::string_view(".eE").find(Peek()) != std::string_view::npos && Peek() != '\0';
    const uint64_t max = is_wide ? std::numeric_limits<uint64_t>::max() : std::numeric_limits<uint32_t>::max();
    if (error != std::errc() || has_zero || is_more || value > max || (is_quoted && !Take('"'))) {
      return FailAt(begin, StrCat("`", field.name(), "` must be a whole number, 0 to ", max));
    }
    return absl::OkStatus();
  }

  absl::Status CheckNumber(const FieldDescriptor& field) {
    const size_t begin = at_;
    const auto bad = [&] { return FailAt(begin, StrCat("`", field.name(), "` must be a number")); };
    Take('-');
    const bool is_zero = Peek() == '0';
    const size_t digits = at_;
    bool any = false;
    TakeDigits(any);
    if (!any || (is_zero && at_ - digits > 1)) return bad();
    if (Take('.')) {
      any = false;
      TakeDigits(any);
      if (!any) return bad();
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (!Take('+')) Take('-');
      any = false;
      TakeDigits(any);
      if (!any) return bad();
    }
    return absl::OkStatus();
  }

  static std::string Names(const Descriptor& message) {
    std::string out = "it has ";
    for (int i = 0; i < message.field_count(); ++i) {
      out += StrCat(i == 0 ? "" : ", ", message.field(i)->name());
    }
    return out;
  }

  static std::string Values(const FieldDescriptor& field) {
    std::string out;
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      const EnumValueDescriptor& value = *field.enum_type()->value(i);
      if (value.number() == 0) continue;
      out += StrCat(out.empty() ? "" : ", ", value.name());
    }
    return out;
  }

  const std::string_view text_;
  const std::string_view file_name_;
  size_t at_ = 0;
};

}  // namespace

absl::Status CheckJson(std::string_view text, std::string_view file_name, const Descriptor& message) {
  return Checker(text, file_name).Check(message);
}

}  // namespace transportd
