#include "server/session/command_table.h"

#include <map>

#include "google/protobuf/descriptor.h"

namespace transportd {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

std::map<int, std::string> BuildMethods() {
  std::map<const Descriptor*, std::string> method_of_request;
  for (const FileDescriptor* file :
       {v1::Command::descriptor()->file(), v1::WriteRequest::descriptor()->file(),
        v1::ServerCloseRequest::descriptor()->file(), v1::SendToRequest::descriptor()->file(),
        v1::SendSignalRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        const auto* method = file->service(s)->method(m);
        method_of_request[method->input_type()] = method->full_name();
      }
    }
  }
  std::map<int, std::string> methods;
  const auto* variants = v1::Command::descriptor()->oneof_decl(0);
  for (int i = 0; i < variants->field_count(); ++i) {
    const FieldDescriptor* variant = variants->field(i);
    const Descriptor* request = variant->message_type();
    if (variant->number() == v1::Command::kWrite) request = v1::WriteRequest::descriptor();
    if (variant->number() == v1::Command::kSendto) request = v1::SendToRequest::descriptor();
    const auto found = method_of_request.find(request);
    methods[variant->number()] =
        found != method_of_request.end() ? found->second : "transportd.v1.EventLoop.Session/" + variant->name();
  }
  return methods;
}

}  // namespace

std::string_view CommandMethod(v1::Command::CommandCase variant) {
  static const auto& methods = *new std::map<int, std::string>(BuildMethods());
  const auto found = methods.find(variant);
  return found != methods.end() ? std::string_view(found->second) : "transportd.v1.EventLoop.Session/";
}

const google::protobuf::Message* CommandRequest(const v1::Command& command) {
  const auto* reflection = command.GetReflection();
  const FieldDescriptor* variant =
      reflection->GetOneofFieldDescriptor(command, v1::Command::descriptor()->oneof_decl(0));
  if (variant == nullptr || variant->message_type() == nullptr) return nullptr;
  return &reflection->GetMessage(command, variant);
}

std::string CommandSessionId(const v1::Command& command) {
  const google::protobuf::Message* request = CommandRequest(command);
  if (request == nullptr) return "";
  const FieldDescriptor* field = request->GetDescriptor()->FindFieldByName("session_id");
  return field == nullptr ? "" : request->GetReflection()->GetString(*request, field);
}

}  // namespace transportd
