#include "server/policy/config_json.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"
#include "re2/re2.h"
#include "server/policy/json_value.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DynamicCastToGenerated;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::util::TimeUtil;

// Reflection's two functions that put a value into a field, or add it to a repeated one.
template <typename Value>
using Setter = void (Reflection::*)(Message*, const FieldDescriptor*, Value) const;

std::string FieldNames(const Descriptor& type) {
  std::string names;
  for (int i = 0; i < type.field_count(); ++i) names += StrCat(i == 0 ? "" : ", ", type.field(i)->name());
  return names;
}

// Recurses as deep as the JSON, which has a bound. Threading: a value.
class JsonConverter final {
 public:
  explicit JsonConverter(std::string_view text) : text_(text) {}

  absl::Status ReadObject(const JsonValue& value, Message& out) const {
    const Descriptor& type = *out.GetDescriptor();
    if (value.kind != JsonValue::Kind::kObject) {
      return Fail(value.offset_bytes, StrCat("a ", type.name(), " must be an object: { … }"));
    }
    std::set<const void*> seen;  // Fields, and oneofs.
    for (size_t i = 0; i < value.elements.size(); ++i) {
      const auto& [name, offset_bytes] = value.names[i];
      const FieldDescriptor* field = type.FindFieldByName(name);
      if (field == nullptr) field = type.FindFieldByCamelcaseName(name);
      if (field == nullptr) {
        return Fail(offset_bytes, StrCat(type.name(), " has no `", name, "`; it has ", FieldNames(type)));
      }
      if (!seen.insert(field).second) return Fail(offset_bytes, StrCat("`", name, "` is there twice"));
      const auto* const oneof = field->real_containing_oneof();
      if (oneof != nullptr && !seen.insert(oneof).second) {
        return Fail(offset_bytes, StrCat("`", name, "` excludes another that is there"));
      }
      if (absl::Status status = ReadField(value.elements[i], *field, out); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Fail(size_t offset_bytes, std::string_view message) const {
    return absl::InvalidArgumentError(StrCat(LineAndColumn(text_, offset_bytes), ": ", message));
  }

  absl::Status MustBe(const JsonValue& value, const FieldDescriptor& field, std::string_view allowed) const {
    return Fail(value.offset_bytes, StrCat("`", field.name(), "` must be ", allowed));
  }

  absl::Status ReadField(const JsonValue& value, const FieldDescriptor& field, Message& out) const {
    if (!field.is_repeated()) return ReadValue(value, field, out);
    if (value.kind != JsonValue::Kind::kArray) return MustBe(value, field, "a list: [ … ]");
    for (const JsonValue& element : value.elements) {
      if (absl::Status status = ReadValue(element, field, out); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadValue(const JsonValue& value, const FieldDescriptor& field, Message& out) const {
    const bool is_string = value.kind == JsonValue::Kind::kString;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        CHECK(field.type() == FieldDescriptor::TYPE_STRING);
        if (!is_string) return MustBe(value, field, "text in double quotes");
        return Put(&Reflection::SetString, &Reflection::AddString, value.text, field, out);
      case FieldDescriptor::CPPTYPE_BOOL: {
        const bool is_true = value.kind == JsonValue::Kind::kTrue;
        if (!is_true && value.kind != JsonValue::Kind::kFalse) return MustBe(value, field, "true or false");
        return Put(&Reflection::SetBool, &Reflection::AddBool, is_true, field, out);
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const auto* const named = is_string ? field.enum_type()->FindValueByName(value.text) : nullptr;
        if (named == nullptr) return MustBe(value, field, "one of " + ValueNames(*field.enum_type()));
        return Put(&Reflection::SetEnum, &Reflection::AddEnum, named, field, out);
      }
      case FieldDescriptor::CPPTYPE_UINT32:
        return ReadNumber(&Reflection::SetUInt32, &Reflection::AddUInt32, value, field, out);
      case FieldDescriptor::CPPTYPE_UINT64:
        return ReadNumber(&Reflection::SetUInt64, &Reflection::AddUInt64, value, field, out);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return ReadNumber(&Reflection::SetDouble, &Reflection::AddDouble, value, field, out);
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return ReadMessage(value, field,
                           field.is_repeated() ? *out.GetReflection()->AddMessage(&out, &field)
                                               : *out.GetReflection()->MutableMessage(&out, &field));
      default:
        CHECK(false);
        return absl::OkStatus();
    }
  }

  template <typename Value>
  static absl::Status Put(Setter<Value> set, Setter<Value> add, std::type_identity_t<Value> value,
                          const FieldDescriptor& field, Message& out) {
    (out.GetReflection()->*(field.is_repeated() ? add : set))(&out, &field, std::move(value));
    return absl::OkStatus();
  }

  template <typename Number>
  absl::Status ReadNumber(Setter<Number> set, Setter<Number> add, const JsonValue& value, const FieldDescriptor& field,
                          Message& out) const {
    using Limits = std::numeric_limits<Number>;
    // 64 bits are more than JavaScript's numbers hold: protobuf writes whole numbers in quotes.
    const bool is_number =
        value.kind == JsonValue::Kind::kNumber || (Limits::is_integer && value.kind == JsonValue::Kind::kString);
    Number number = 0;
    const char* const text_end = value.text.data() + value.text.size();
    const auto [end, error] = std::from_chars(value.text.data(), text_end, number);
    if (!is_number || error != std::errc() || end != text_end) {
      return MustBe(value, field, Limits::is_integer ? StrCat("a whole number, 0 to ", Limits::max()) : "a number");
    }
    return Put(set, add, number, field, out);
  }

  absl::Status ReadMessage(const JsonValue& value, const FieldDescriptor& field, Message& out) const {
    const bool is_string = value.kind == JsonValue::Kind::kString;
    const auto is_like = [&](const char* regex) { return is_string && RE2::FullMatch(value.text, regex); };
    // TimeUtil takes more than protobuf's JSON has.
    if (auto* const time = DynamicCastToGenerated<google::protobuf::Timestamp>(&out)) {
      constexpr char kTime[] = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))";
      if (is_like(kTime) && TimeUtil::FromString(value.text, time)) return absl::OkStatus();
      return MustBe(value, field, R"(a time as "2030-01-31T12:00:00Z")");
    }
    if (auto* const duration = DynamicCastToGenerated<google::protobuf::Duration>(&out)) {
      if (is_like(R"(-?\d{1,12}(\.\d{1,9})?s)") && TimeUtil::FromString(value.text, duration)) return absl::OkStatus();
      return MustBe(value, field, R"(a duration as "30s" or "0.5s")");
    }
    return ReadObject(value, out);
  }

  const std::string_view text_;
};

}  // namespace

std::string ValueNames(const EnumDescriptor& type) {
  std::string names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) names += StrCat(names.empty() ? "" : ", ", type.value(i)->name());
  }
  return names;
}

absl::Status ReadConfigJson(std::string_view text, Message& out) {
  const absl::StatusOr<JsonValue> json = ParseJson(text);
  return json.ok() ? JsonConverter(text).ReadObject(*json, out) : json.status();
}

}  // namespace transportd
