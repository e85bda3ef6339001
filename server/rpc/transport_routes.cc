#include "server/rpc/transport_routes.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "server/rpc/byte_buffers.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/session_stream.h"
#include "server/rpc/unary_call.h"
#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

constexpr uint32_t kRevision = 1;

void AddServices(const FileDescriptor& file, std::set<const FileDescriptor*>& seen,
                 std::vector<const ServiceDescriptor*>& services) {
  if (!seen.insert(&file).second) return;
  for (int i = 0; i < file.service_count(); ++i) services.push_back(file.service(i));
  for (int i = 0; i < file.dependency_count(); ++i) AddServices(*file.dependency(i), seen, services);
}

// The reply's message; its default when the reply says nothing: it worked.
UnaryResult ReplyResult(const v1::Reply& reply, const FieldDescriptor& field) {
  if (reply.has_error()) return {ToGrpcStatus(reply.error()), {}};
  return {grpc::Status::OK, Serialize(reply.GetReflection()->GetMessage(reply, &field))};
}

CallHandler ServeCommand(SessionManager& manager, const UnaryCommand& twin) {
  return ServeUnary(
      [&manager, twin](Caller caller, const grpc::ByteBuffer& bytes, UnaryDone done) -> absl::AnyInvocable<void()> {
        v1::Command command;
        Message* request = command.GetReflection()->MutableMessage(&command, twin.command);
        if (!Parse(bytes, *request)) {
          done({ToGrpcStatus(BadRequest(*request)), {}});
          return nullptr;
        }
        return manager.Execute(std::move(caller), std::move(command),
                               [reply_field = twin.reply, done = std::move(done)](const v1::Reply& reply) mutable {
                                 done(ReplyResult(reply, *reply_field));
                               });
      });
}

// The calls of SessionManager that are not commands.
template <typename Request, typename Response>
CallHandler ServeManagerCall(SessionManager& manager,
                             void (SessionManager::*method)(Caller, Request,
                                                            absl::AnyInvocable<void(absl::StatusOr<Response>)>)) {
  return ServeUnary([&manager, method](Caller caller, const grpc::ByteBuffer& bytes,
                                       UnaryDone done) -> absl::AnyInvocable<void()> {
    Request request;
    if (!Parse(bytes, request)) {
      done({ToGrpcStatus(BadRequest(request)), {}});
      return nullptr;
    }
    (manager.*method)(
        std::move(caller), std::move(request),
        [done = std::move(done)](const absl::StatusOr<Response>& response) mutable { done(ToUnaryResult(response)); });
    return nullptr;
  });
}

CallHandler ServeGetVersion(const Authorizer& authorizer, Clock& clock, const MethodDescriptor& method) {
  return ServeUnary([&authorizer, &clock, &method, start = clock.Now()](const Caller& caller,
                                                                        const grpc::ByteBuffer& bytes,
                                                                        UnaryDone done) -> absl::AnyInvocable<void()> {
    v1::GetVersionRequest request;
    if (!Parse(bytes, request)) {
      done({ToGrpcStatus(BadRequest(request)), {}});
      return nullptr;
    }
    if (absl::Status status = authorizer.Authorize(caller, {.method = method.full_name(), .request = &request});
        !status.ok()) {
      done({ToGrpcStatus(status), {}});
      return nullptr;
    }
    done({grpc::Status::OK, Serialize(DescribeVersion(clock.Now() - start))});
    return nullptr;
  });
}

CallHandler ServeSession(SessionManager& manager, uint64_t max_frame_bytes) {
  return [&manager, max_frame_bytes](const std::shared_ptr<ServerCall>& call) {
    absl::StatusOr<Caller> caller = call->Identify();
    if (!caller.ok()) return call->Finish(ToGrpcStatus(caller.status()));
    manager.OpenStreaming(*std::move(caller), SessionStream::Make(call, max_frame_bytes));
  };
}

CallHandler ServeCallbacks(SessionManager& manager, uint64_t max_frame_bytes) {
  return [&manager, max_frame_bytes](const std::shared_ptr<ServerCall>& call) {
    absl::StatusOr<Caller> caller = call->Identify();
    if (!caller.ok()) return call->Finish(ToGrpcStatus(caller.status()));
    call->Read([&manager, max_frame_bytes, caller = *std::move(caller), call](bool ok) mutable {
      v1::CallbacksRequest request;
      if (!ok || !Parse(call->message(), request)) {
        call->Finish(ToGrpcStatus(BadRequest(request)));
        return;
      }
      manager.AttachCallbacks(std::move(caller), std::move(request), SessionStream::Make(call, max_frame_bytes));
    });
  };
}

}  // namespace

v1::GetVersionResponse DescribeVersion(std::chrono::nanoseconds uptime) {
  v1::GetVersionResponse response;
  response.set_version(TRANSPORTD_VERSION);
  response.set_revision(kRevision);
  response.set_grpc_version(grpc::Version());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(uptime);
  response.mutable_uptime()->set_seconds(seconds.count());
  response.mutable_uptime()->set_nanos(static_cast<int32_t>((uptime - seconds).count()));
  return response;
}

std::vector<const ServiceDescriptor*> TransportServices() {
  std::set<const FileDescriptor*> seen;
  std::vector<const ServiceDescriptor*> services;
  AddServices(*v1::Command::descriptor()->file(), seen, services);
  AddServices(*v1::GetVersionRequest::descriptor()->file(), seen, services);
  return services;
}

std::vector<UnaryCommand> UnaryCommands() {
  const google::protobuf::OneofDescriptor& variants = *v1::Command::descriptor()->FindOneofByName("command");
  std::vector<UnaryCommand> commands;
  for (const ServiceDescriptor* service : TransportServices()) {
    for (int i = 0; i < service->method_count(); ++i) {
      const MethodDescriptor& method = *service->method(i);
      if (method.client_streaming() || method.server_streaming()) continue;
      const FieldDescriptor* command = nullptr;
      for (int k = 0; k < variants.field_count(); ++k) {
        if (variants.field(k)->message_type() != method.input_type()) continue;
        CHECK(command == nullptr);
        command = variants.field(k);
      }
      if (command == nullptr) continue;
      const FieldDescriptor* reply = v1::Reply::descriptor()->FindFieldByNumber(command->number());
      CHECK(reply != nullptr && reply->message_type() == method.output_type());
      commands.push_back({&method, command, reply});
    }
  }
  return commands;
}

void AddTransportRoutes(SessionManager& manager, const Authorizer& authorizer, Clock& clock,
                        uint64_t max_client_frame_bytes, Router& router) {
  const ServiceDescriptor& event_loop = *v1::Command::descriptor()->file()->FindServiceByName("EventLoop");
  const ServiceDescriptor& admin = *v1::GetVersionRequest::descriptor()->file()->FindServiceByName("Admin");
  std::unordered_map<const MethodDescriptor*, CallHandler> handlers;
  const auto add = [&handlers](const ServiceDescriptor& service, const char* name, CallHandler handler) {
    const MethodDescriptor* method = service.FindMethodByName(name);
    CHECK(method != nullptr);
    handlers.emplace(method, std::move(handler));
  };
  add(event_loop, "Session", ServeSession(manager, max_client_frame_bytes));
  add(event_loop, "Callbacks", ServeCallbacks(manager, max_client_frame_bytes));
  add(event_loop, "OpenSession", ServeManagerCall(manager, &SessionManager::OpenSession));
  add(event_loop, "CloseSession", ServeManagerCall(manager, &SessionManager::CloseSession));
  add(admin, "ListSessions", ServeManagerCall(manager, &SessionManager::ListSessions));
  add(admin, "ListTransports", ServeManagerCall(manager, &SessionManager::ListTransports));
  add(admin, "GetStatus", ServeManagerCall(manager, &SessionManager::GetStatus));
  add(admin, "EndTransport", ServeManagerCall(manager, &SessionManager::EndTransport));
  add(admin, "EndSession", ServeManagerCall(manager, &SessionManager::EndSession));
  add(admin, "GetVersion", ServeGetVersion(authorizer, clock, *admin.FindMethodByName("GetVersion")));
  for (const UnaryCommand& twin : UnaryCommands()) {
    CHECK(handlers.emplace(twin.method, ServeCommand(manager, twin)).second);
  }

  for (const ServiceDescriptor* service : TransportServices()) {
    for (int i = 0; i < service->method_count(); ++i) {
      auto handler = handlers.extract(service->method(i));
      CHECK(!handler.empty());
      router.Add(*service->method(i), std::move(handler.mapped()));
    }
  }
}

}  // namespace transportd
