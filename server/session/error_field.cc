#include "server/session/error_field.h"

#include "transports/base/str_cat.h"

namespace transportd {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// What the contract calls otherwise than asyncio does.
struct OtherName {
  std::string_view asyncio;
  std::string_view contract;
};
constexpr OtherName kOtherNames[] = {
    {"args", "cmd"}, {"program", "cmd"}, {"pipe", "source"}, {"pipesize", "pipesize_bytes"}, {"sock", "socket_id"},
};

// Of the contract, and one: those of other packages are values.
bool IsGroupOfFields(const FieldDescriptor& field) {
  return field.message_type() != nullptr && !field.is_repeated() &&
         field.message_type()->file()->package() == field.containing_type()->file()->package();
}

// The path to `name` in the message or in one that it has; empty: nowhere. No message of the contract has itself.
std::string Find(const Descriptor& message, const std::string& name) {
  const std::string head = name.substr(0, name.find('.'));
  if (message.FindFieldByName(head) != nullptr) return name;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (!IsGroupOfFields(field)) continue;
    if (const std::string path = Find(*field.message_type(), name); !path.empty()) {
      return StrCat(std::string_view(field.name()), ".", path);
    }
  }
  return "";
}

}  // namespace

std::string RequestField(const Descriptor& request, std::string_view field) {
  if (field.empty()) return "";
  if (std::string path = Find(request, std::string(field)); !path.empty()) return path;
  for (const OtherName& name : kOtherNames) {
    if (name.asyncio != field) continue;
    if (std::string path = Find(request, std::string(name.contract)); !path.empty()) return path;
  }
  return std::string(field);
}

}  // namespace transportd
