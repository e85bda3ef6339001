#include "server/policy/config_text.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/text_format.h"
#include "server/policy/config_json.h"
#include "server/policy/json_value.h"
#include "transports/base/str_cat.h"
#include "transports/base/utf8.h"

namespace transportd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

constexpr size_t kMaxConfigBytes = 4 * 1024 * 1024;
constexpr int kMaxTextDepth = 32;

absl::Status ConfigError(std::string_view file_name, std::string_view line_and_column, std::string_view message) {
  return absl::InvalidArgumentError(ToAbsl(StrCat(file_name, ":", line_and_column, ": ", message)));
}

std::string LineAndColumnFromZero(int line, int column) {
  return StrCat(std::max(line, 0) + 1, ":", std::max(column, 0) + 1);
}

class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (!line_and_column_.empty()) return;
    line_and_column_ = LineAndColumnFromZero(line, column);
    message_ = message;
  }
  absl::Status ToStatus(std::string_view file_name) const {
    return ConfigError(file_name, line_and_column_.empty() ? "1:1" : line_and_column_, message_);
  }

 private:
  std::string line_and_column_;
  std::string message_ = "no textproto";
};

// What protobuf's reader lets through: an enum's number without a name, an escape that makes text no UTF-8.
std::string OffenceOf(const Message& message, const FieldDescriptor& field, int index) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const int number = field.is_repeated() ? reflection.GetRepeatedEnumValue(message, &field, index)
                                           : reflection.GetEnumValue(message, &field);
    if (field.enum_type()->FindValueByNumber(number) == nullptr) {
      return StrCat(field.name(), ": ", number, " is no ", field.enum_type()->full_name());
    }
  }
  if (field.type() == FieldDescriptor::TYPE_STRING) {
    std::string scratch;
    const std::string& text = field.is_repeated()
                                  ? reflection.GetRepeatedStringReference(message, &field, index, &scratch)
                                  : reflection.GetStringReference(message, &field, &scratch);
    if (!IsUtf8(text)) return StrCat(field.name(), " must be UTF-8");
  }
  return "";
}

// Recurses as deep as the text, which has a bound.
absl::Status CheckText(const Message& message, const TextFormat::ParseInfoTree& places, std::string_view file_name) {
  std::vector<const FieldDescriptor*> fields;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* const field : fields) {
    const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const int index = field->is_repeated() ? i : -1;
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        const Message& child = field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                    : reflection.GetMessage(message, field);
        const TextFormat::ParseInfoTree* const child_places = places.GetTreeForNested(field, index);
        if (child_places == nullptr) continue;
        if (absl::Status status = CheckText(child, *child_places, file_name); !status.ok()) return status;
      } else if (const std::string offence = OffenceOf(message, *field, i); !offence.empty()) {
        const TextFormat::ParseLocation place = places.GetLocation(field, index);
        return ConfigError(file_name, LineAndColumnFromZero(place.line, place.column), offence);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ReadTextproto(std::string_view text, std::string_view file_name, Message& out) {
  TextFormat::Parser parser;
  FirstError error;
  TextFormat::ParseInfoTree places;
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(&places);
  parser.SetRecursionLimit(kMaxTextDepth);
  google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  if (!parser.Parse(&input, &out)) return error.ToStatus(file_name);
  return CheckText(out, places, file_name);
}

absl::Status ReadJson(std::string_view text, std::string_view file_name, Message& out) {
  const absl::StatusOr<JsonValue> json = ParseJson(text);
  if (!json.ok())
    return absl::InvalidArgumentError(ToAbsl(StrCat(file_name, ":", std::string(json.status().message()))));
  const std::optional<JsonConversionError> error = JsonToMessage(*json, out);
  return error ? ConfigError(file_name, LineAndColumn(text, error->offset_bytes), error->message) : absl::OkStatus();
}

}  // namespace

absl::Status ReadConfigText(std::string_view text, std::string_view file_name, Message& out) {
  out.Clear();
  if (text.size() > kMaxConfigBytes) return ConfigError(file_name, "1:1", "the file must be at most 4 MiB");
  size_t utf8_bytes = 0;
  while (utf8_bytes < text.size()) {
    const size_t length = Utf8Length(text.substr(utf8_bytes));
    if (length == 0) return ConfigError(file_name, LineAndColumn(text, utf8_bytes), "the file must be UTF-8");
    utf8_bytes += length;
  }
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') return ReadJson(text, file_name, out);
  return ReadTextproto(text, file_name, out);
}

}  // namespace transportd
