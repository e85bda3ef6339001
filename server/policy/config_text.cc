#include "server/policy/config_text.h"

#include <algorithm>
#include <string>
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

constexpr int kMaxTextDepth = 32;  // No message of ours is half as deep.

// Keeps the first errors, one a line. Threading: a value.
class TextErrors final : public google::protobuf::io::ErrorCollector {
 public:
  explicit TextErrors(std::string_view file_name) : file_name_(file_name) {}

  void AddError(int line, int column, const std::string& message) override {
    if (++count_ > kMaxCount) return;
    text_ += StrCat(text_.empty() ? "" : "\n", file_name_, ":", std::max(line, 0) + 1, ":", std::max(column, 0) + 1,
                    ": ", message);
  }

  absl::Status ToStatus() const { return text_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(text_); }

 private:
  static constexpr int kMaxCount = 20;
  const std::string_view file_name_;
  std::string text_;
  int count_ = 0;
};

// What protobuf's reader lets through: an enum's number without a name, an escape that makes text no UTF-8.
std::string OffenceOf(const Message& message, const FieldDescriptor& field, int index) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const int number = field.is_repeated() ? reflection.GetRepeatedEnumValue(message, &field, index)
                                           : reflection.GetEnumValue(message, &field);
    if (field.enum_type()->FindValueByNumber(number) == nullptr) {
      return StrCat("`", field.name(), "` must be one of ", ValueNames(*field.enum_type()));
    }
  }
  if (field.type() == FieldDescriptor::TYPE_STRING) {
    std::string scratch;
    const std::string& text = field.is_repeated()
                                  ? reflection.GetRepeatedStringReference(message, &field, index, &scratch)
                                  : reflection.GetStringReference(message, &field, &scratch);
    if (!IsUtf8(text)) return StrCat("`", field.name(), "` must be UTF-8");
  }
  return "";
}

// Recurses as deep as the text, which has a bound.
void CheckText(const Message& message, const TextFormat::ParseInfoTree& places, TextErrors& errors) {
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
        if (child_places != nullptr) CheckText(child, *child_places, errors);
      } else if (const std::string offence = OffenceOf(message, *field, i); !offence.empty()) {
        const TextFormat::ParseLocation place = places.GetLocation(field, index);
        errors.AddError(place.line, place.column, offence);
      }
    }
  }
}

absl::Status ReadTextproto(std::string_view text, std::string_view file_name, Message& out) {
  TextFormat::Parser parser;
  TextErrors errors(file_name);
  TextFormat::ParseInfoTree places;
  parser.RecordErrorsTo(&errors);
  parser.WriteLocationsTo(&places);
  parser.SetRecursionLimit(kMaxTextDepth);
  google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
  if (parser.Parse(&input, &out)) {
    CheckText(out, places, errors);
  } else if (errors.ToStatus().ok()) {
    errors.AddError(0, 0, "no textproto");
  }
  return errors.ToStatus();
}

}  // namespace

absl::Status ReadConfigText(std::string_view text, std::string_view file_name, Message& out) {
  const auto fail = [&](std::string_view what) { return absl::InvalidArgumentError(StrCat(file_name, ": ", what)); };
  out.Clear();
  if (text.size() > kMaxConfigBytes) return fail(StrCat("it must be at most ", kMaxConfigBytes, " bytes long"));
  for (size_t i = 0, length = 0; i < text.size(); i += length) {
    length = Utf8Length(text.substr(i));
    if (length == 0)
      return absl::InvalidArgumentError(StrCat(file_name, ":", LineAndColumn(text, i), ": must be UTF-8"));
  }
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    const absl::Status status = ReadConfigJson(text, out);
    if (!status.ok()) return absl::InvalidArgumentError(StrCat(file_name, ":", std::string(status.message())));
  } else if (absl::Status status = ReadTextproto(text, file_name, out); !status.ok()) {
    return status;
  }
  if (out.ByteSizeLong() > 0) return absl::OkStatus();
  return fail(StrCat("it says nothing; it must be a ", out.GetTypeName(), " in textproto or JSON"));
}

}  // namespace transportd
