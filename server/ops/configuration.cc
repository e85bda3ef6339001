#include "server/ops/configuration.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"
#include "server/policy/config_file.h"
#include "server/policy/config_text.h"
#include "transportd/v1/config.pb.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;
using Origin = FlagTable::Origin;

constexpr std::string_view kVersion = "v1";
constexpr std::string_view kBlanks = " \t\n\v\f\r";

// Null: the flag is none of the file's, as --help.
const FieldDescriptor* FieldOf(std::string_view flag) {
  std::string name(flag);
  std::replace(name.begin(), name.end(), '-', '_');
  const FieldDescriptor* const field = v1::ServiceConfig::descriptor()->FindFieldByName(name);
  // Of the file itself: --version is another matter.
  return field != nullptr && field->number() == v1::ServiceConfig::kVersionFieldNumber ? nullptr : field;
}

std::string FlagOf(const FieldDescriptor& field) {
  std::string name = field.name();
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

// As the command line would have it. `index`: of a repeated field.
std::string TextOf(const v1::ServiceConfig& config, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *config.GetReflection();
  if (field.is_repeated()) return reflection.GetRepeatedString(config, &field, index);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(config, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_UINT32:
      return StrCat(reflection.GetUInt32(config, &field));
    default:
      return reflection.GetString(config, &field);
  }
}

absl::Status SetFromFile(FlagTable& table, const std::string& path) {
  const absl::StatusOr<std::string> text = ReadConfigFile(path, kMaxConfigBytes);
  if (!text.ok()) return text.status();
  v1::ServiceConfig config;
  if (absl::Status status = ReadConfigText(*text, path, config); !status.ok()) return status;
  if (config.version() != kVersion) {
    return InvalidArgument("BAD_FLAG", "", StrCat(path, ": version must be \"", kVersion, "\""));
  }
  std::vector<const FieldDescriptor*> fields;
  config.GetReflection()->ListFields(config, &fields);
  for (const FieldDescriptor* const field : fields) {
    if (field->number() == v1::ServiceConfig::kVersionFieldNumber) continue;
    const int count = field->is_repeated() ? config.GetReflection()->FieldSize(config, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string value = TextOf(config, *field, i);
      if (absl::Status status = table.Set(Origin::kFile, StrCat(path, ": ", field->name()), FlagOf(*field), value);
          !status.ok()) {
        return status;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status SetFromVariable(FlagTable& table, std::string_view flag, const std::string& variable,
                             std::string_view text) {
  if (!table.IsList(flag)) return table.Set(Origin::kEnvironment, variable, flag, text);
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    if (text.empty()) return absl::OkStatus();
    const std::string_view value = text.substr(0, text.find_first_of(kBlanks));
    if (absl::Status status = table.Set(Origin::kEnvironment, variable, flag, value); !status.ok()) return status;
    text.remove_prefix(value.size());
  }
}

absl::Status SetFromEnvironment(FlagTable& table, Environment environment) {
  for (const FlagTable::Value& value : table.Values()) {
    if (FieldOf(value.name) == nullptr) continue;
    const std::string variable = EnvironmentName(value.name);
    const char* const text = environment(variable.c_str());
    if (text == nullptr || *text == '\0') continue;
    if (absl::Status status = SetFromVariable(table, value.name, variable, text); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Empty: there is none.
std::string ConfigPath(const std::vector<FlagTable::Argument>& arguments, Environment environment) {
  std::string path;
  for (const FlagTable::Argument& argument : arguments) {
    if (argument.name == "config") path = argument.text;
  }
  if (!path.empty()) return path;
  const char* const variable = environment(EnvironmentName("config").c_str());
  return variable == nullptr ? std::string() : variable;
}

std::string OriginText(const FlagTable::Value& value) {
  switch (value.origin) {
    case Origin::kDefault:
      return "default";
    case Origin::kFile:
      return "file";
    case Origin::kEnvironment:
      return StrCat("environment, ", EnvironmentName(value.name));
    case Origin::kCommandLine:
      return "command line";
  }
  return "";
}

// `name: "value"`, as textproto has it.
std::string FieldText(const FieldDescriptor& field, const std::string& text) {
  v1::ServiceConfig config;
  const Reflection& reflection = *config.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    reflection.SetBool(&config, &field, text == "true");
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
    uint32_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    reflection.SetUInt32(&config, &field, number);
  } else if (field.is_repeated()) {
    reflection.AddString(&config, &field, text);
  } else {
    reflection.SetString(&config, &field, text);
  }
  std::string value;
  google::protobuf::TextFormat::PrintFieldValueToString(config, &field, field.is_repeated() ? 0 : -1, &value);
  return StrCat(field.name(), ": ", value);
}

}  // namespace

std::string EnvironmentName(std::string_view flag) {
  std::string name = "TRANSPORTD_";
  for (const char c : flag) name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

absl::Status Configure(FlagTable& table, std::span<const char* const> arguments, Environment environment) {
  const absl::StatusOr<std::vector<FlagTable::Argument>> split = table.Split(arguments);
  if (!split.ok()) return split.status();
  if (const std::string path = ConfigPath(*split, environment); !path.empty()) {
    if (absl::Status status = SetFromFile(table, path); !status.ok()) return status;
  }
  if (absl::Status status = SetFromEnvironment(table, environment); !status.ok()) return status;
  for (const FlagTable::Argument& argument : *split) {
    if (absl::Status status =
            table.Set(Origin::kCommandLine, StrCat("--", argument.name), argument.name, argument.text);
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

std::string PrintConfiguration(const FlagTable& table) {
  std::string out = StrCat("version: \"", kVersion, "\"\n");
  std::string_view group;
  for (const FlagTable::Value& value : table.Values()) {
    const FieldDescriptor* const field = FieldOf(value.name);
    if (field == nullptr) continue;
    if (value.group != group) out += StrCat("\n# ", value.group, "\n");
    group = value.group;
    for (const std::string& text : value.texts) out += StrCat(FieldText(*field, text), "  # ", OriginText(value), "\n");
    if (value.texts.empty()) out += StrCat("# ", field->name(), ": nothing\n");
  }
  return out;
}

}  // namespace transportd
