#include "server/policy/config_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <string_view>
#include <system_error>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::util::TimeUtil;
using ConversionResult = std::optional<JsonConversionError>;

ConversionResult ConversionError(const JsonValue& value, std::string_view message) {
  return JsonConversionError{value.offset_bytes, std::string(message)};
}

template <typename Number>
bool ParseWhole(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

// Whole numbers may be written as 1e6, which some programs do for no need; up to 2^53 that is exact.
template <typename Integer>
bool ParseInteger(const JsonValue& value, Integer& out) {
  if (value.kind != JsonValue::Kind::kNumber && value.kind != JsonValue::Kind::kString) return false;
  if (ParseWhole(value.text, out)) return true;
  double number = 0;
  if (value.kind != JsonValue::Kind::kNumber || !ParseWhole(value.text, number)) return false;
  constexpr double kExact = 9007199254740992.0;
  if (std::trunc(number) != number || std::abs(number) > kExact) return false;
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), static_cast<int64_t>(number));
  return error == std::errc() && ParseWhole(std::string_view(digits, static_cast<size_t>(end - digits)), out);
}

// `-1.5s`; google::protobuf::util takes more than that.
bool IsDuration(std::string_view text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  if (text.size() < 2 || text.back() != 's') return false;
  text.remove_suffix(1);
  const size_t dot = std::min(text.find('.'), text.size());
  const auto are_digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  const bool has_fraction = dot < text.size();
  return are_digits(text.substr(0, dot)) && dot <= 12 && (!has_fraction || are_digits(text.substr(dot + 1)));
}

// Sets a field, or adds to a repeated one.
class FieldSetter final {
 public:
  FieldSetter(Message& message, const FieldDescriptor& field)
      : message_(message), reflection_(*message.GetReflection()), field_(field) {}

  ConversionResult Set(const JsonValue& value) {
    switch (field_.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        CHECK(field_.type() == FieldDescriptor::TYPE_STRING);
        if (value.kind != JsonValue::Kind::kString) return Wrong(value, "text in quotes");
        Put(&Reflection::SetString, &Reflection::AddString, value.text);
        return {};
      case FieldDescriptor::CPPTYPE_BOOL:
        if (value.kind != JsonValue::Kind::kTrue && value.kind != JsonValue::Kind::kFalse) {
          return Wrong(value, "true or false");
        }
        Put(&Reflection::SetBool, &Reflection::AddBool, value.kind == JsonValue::Kind::kTrue);
        return {};
      case FieldDescriptor::CPPTYPE_ENUM:
        return SetEnum(value);
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return SetMessage(value);
      case FieldDescriptor::CPPTYPE_INT32:
        return SetInteger<int32_t>(value, &Reflection::SetInt32, &Reflection::AddInt32, "a whole number");
      case FieldDescriptor::CPPTYPE_INT64:
        return SetInteger<int64_t>(value, &Reflection::SetInt64, &Reflection::AddInt64, "a whole number");
      case FieldDescriptor::CPPTYPE_UINT32:
        return SetInteger<uint32_t>(value, &Reflection::SetUInt32, &Reflection::AddUInt32,
                                    "a whole number from 0 to 4294967295");
      case FieldDescriptor::CPPTYPE_UINT64:
        return SetInteger<uint64_t>(value, &Reflection::SetUInt64, &Reflection::AddUInt64, "a whole number, 0 or more");
      case FieldDescriptor::CPPTYPE_DOUBLE:
      case FieldDescriptor::CPPTYPE_FLOAT:
        return SetFloating(value);
    }
    CHECK(false);
    return {};
  }

 private:
  ConversionResult Wrong(const JsonValue& value, std::string_view allowed) const {
    return ConversionError(value, StrCat(field_.name(), " must be ", allowed));
  }

  template <typename Set, typename Add, typename Value>
  void Put(Set set, Add add, const Value& value) {
    if (field_.is_repeated()) {
      (reflection_.*add)(&message_, &field_, value);
    } else {
      (reflection_.*set)(&message_, &field_, value);
    }
  }

  template <typename Integer, typename Set, typename Add>
  ConversionResult SetInteger(const JsonValue& value, Set set, Add add, std::string_view allowed) {
    Integer number = 0;
    if (!ParseInteger(value, number)) return Wrong(value, allowed);
    Put(set, add, number);
    return {};
  }

  ConversionResult SetFloating(const JsonValue& value) {
    double number = 0;
    if (value.kind != JsonValue::Kind::kNumber || !ParseWhole(value.text, number)) return Wrong(value, "a number");
    if (field_.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
      Put(&Reflection::SetDouble, &Reflection::AddDouble, number);
    } else {
      Put(&Reflection::SetFloat, &Reflection::AddFloat, static_cast<float>(number));
    }
    return {};
  }

  ConversionResult SetEnum(const JsonValue& value) {
    const auto* const found =
        value.kind == JsonValue::Kind::kString ? field_.enum_type()->FindValueByName(value.text) : nullptr;
    if (found != nullptr) {
      Put(&Reflection::SetEnum, &Reflection::AddEnum, found);
      return {};
    }
    std::string names;
    for (int i = 0; i < field_.enum_type()->value_count(); ++i) {
      names += StrCat(i == 0 ? "" : ", ", field_.enum_type()->value(i)->name());
    }
    return Wrong(value, StrCat("one of ", names, ", in quotes"));
  }

  ConversionResult SetMessage(const JsonValue& value) {
    Message& child = field_.is_repeated() ? *reflection_.AddMessage(&message_, &field_)
                                          : *reflection_.MutableMessage(&message_, &field_);
    const std::string& type = child.GetDescriptor()->full_name();
    if (type == "google.protobuf.Timestamp") {
      google::protobuf::Timestamp timestamp;
      if (value.kind != JsonValue::Kind::kString || !TimeUtil::FromString(value.text, &timestamp)) {
        return Wrong(value, "a time as \"2030-01-31T12:00:00Z\"");
      }
      child.CopyFrom(timestamp);
      return {};
    }
    if (type == "google.protobuf.Duration") {
      google::protobuf::Duration duration;
      if (value.kind != JsonValue::Kind::kString || !IsDuration(value.text) ||
          !TimeUtil::FromString(value.text, &duration)) {
        return Wrong(value, "a duration as \"1.5s\"");
      }
      child.CopyFrom(duration);
      return {};
    }
    if (value.kind != JsonValue::Kind::kObject) return Wrong(value, "an object in braces");
    return JsonToMessage(value, child);
  }

  Message& message_;
  const Reflection& reflection_;
  const FieldDescriptor& field_;
};

const FieldDescriptor* FindField(const google::protobuf::Descriptor& descriptor, const std::string& name) {
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor* const field = descriptor.field(i);
    if (field->name() == name || field->json_name() == name) return field;
  }
  return nullptr;
}

}  // namespace

// Recurses as deep as the JSON, which has a bound.
std::optional<JsonConversionError> JsonToMessage(const JsonValue& object, Message& out) {
  std::set<const void*> seen;  // Fields, and oneofs.
  for (size_t i = 0; i < object.elements.size(); ++i) {
    const JsonName& name = object.names[i];
    const auto error_at_name = [&](std::string_view message) {
      return JsonConversionError{name.offset_bytes, StrCat("`", name.text, "` ", message)};
    };
    const FieldDescriptor* const field = FindField(*out.GetDescriptor(), name.text);
    if (field == nullptr) return error_at_name(StrCat("is no field of ", out.GetDescriptor()->name()));
    CHECK(!field->is_map());
    if (!seen.insert(field).second) return error_at_name("is there twice");
    const auto* const oneof = field->real_containing_oneof();
    if (oneof != nullptr && !seen.insert(oneof).second) return error_at_name("excludes another that is there");
    const JsonValue& value = object.elements[i];
    FieldSetter setter(out, *field);
    if (!field->is_repeated()) {
      if (ConversionResult error = setter.Set(value)) return error;
      continue;
    }
    if (value.kind != JsonValue::Kind::kArray) {
      return ConversionError(value, StrCat(field->name(), " must be an array in brackets"));
    }
    for (const JsonValue& element : value.elements) {
      if (ConversionResult error = setter.Set(element)) return error;
    }
  }
  return {};
}

}  // namespace transportd
