#include "server/rpc/reflection_service.h"

#include <algorithm>
#include <set>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "server/rpc/byte_buffers.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/unary_call.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1::FileDescriptorResponse;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

constexpr const char* kServiceNames[] = {"grpc.reflection.v1.ServerReflection",
                                         "grpc.reflection.v1alpha.ServerReflection"};
constexpr char kMethodName[] = "ServerReflectionInfo";

// With everything the file imports, imports first.
void AddFile(const FileDescriptor& file, std::set<const FileDescriptor*>& seen, FileDescriptorResponse& response) {
  if (!seen.insert(&file).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) AddFile(*file.dependency(i), seen, response);
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  *response.add_file_descriptor_proto() = proto.SerializeAsString();
}

void SetError(ServerReflectionResponse& response, grpc::StatusCode code, std::string message) {
  response.mutable_error_response()->set_error_code(code);
  response.mutable_error_response()->set_error_message(std::move(message));
}

void SetFile(ServerReflectionResponse& response, const FileDescriptor* file, const std::string& wanted) {
  if (file == nullptr) {
    SetError(response, grpc::StatusCode::NOT_FOUND, StrCat("not found: ", wanted));
    return;
  }
  std::set<const FileDescriptor*> seen;
  AddFile(*file, seen, *response.mutable_file_descriptor_response());
  // The file that was asked for comes first; some clients look no further.
  auto& files = *response.mutable_file_descriptor_response()->mutable_file_descriptor_proto();
  std::rotate(files.begin(), files.end() - 1, files.end());
}

}  // namespace

ReflectionService::ReflectionService(std::vector<std::string> services, const Authorizer& authorizer)
    : services_(std::move(services)), authorizer_(authorizer) {
  services_.insert(services_.end(), std::begin(kServiceNames), std::end(kServiceNames));
  std::sort(services_.begin(), services_.end());
}

void ReflectionService::AddRoutes(Router& router) {
  for (const char* service : kServiceNames) {
    router.Add(service, kMethodName,
               [this, method = StrCat(service, ".", kMethodName)](const std::shared_ptr<ServerCall>& call) {
                 Serve(method, call);
               });
  }
}

ServerReflectionResponse ReflectionService::Answer(const ServerReflectionRequest& request) const {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kListServices:
      for (const std::string& service : services_) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      break;
    case ServerReflectionRequest::kFileByFilename:
      SetFile(response, pool.FindFileByName(request.file_by_filename()), request.file_by_filename());
      break;
    case ServerReflectionRequest::kFileContainingSymbol:
      SetFile(response, pool.FindFileContainingSymbol(request.file_containing_symbol()),
              request.file_containing_symbol());
      break;
    case ServerReflectionRequest::kFileContainingExtension:
      // proto3 has no extensions.
      SetFile(response, nullptr, request.file_containing_extension().containing_type());
      break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType:
      SetError(response, grpc::StatusCode::NOT_FOUND,
               StrCat("no extensions: ", request.all_extension_numbers_of_type()));
      break;
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      SetError(response, grpc::StatusCode::UNIMPLEMENTED, "no such question");
      break;
  }
  return response;
}

void ReflectionService::Serve(const std::string& method, const std::shared_ptr<ServerCall>& call) const {
  const absl::StatusOr<Caller> caller = call->Identify();
  if (!caller.ok()) return call->Finish(ToGrpcStatus(caller.status()));
  if (absl::Status status = authorizer_.Authorize(*caller, {.method = method}); !status.ok()) {
    call->Finish(ToGrpcStatus(status));
    return;
  }
  AnswerNext(call);
}

void ReflectionService::AnswerNext(const std::shared_ptr<ServerCall>& call) const {
  call->Read([this, call](bool ok) {
    ServerReflectionRequest request;
    if (!ok) {
      call->Finish(grpc::Status::OK);
    } else if (!Parse(call->message(), request)) {
      call->Finish(ToGrpcStatus(BadRequest(request)));
    } else {
      call->Write(Serialize(Answer(request)), [this, call](bool written) {
        if (written) AnswerNext(call);
      });
    }
  });
}

}  // namespace transportd
