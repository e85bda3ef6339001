#include "server/rpc/transport_routes.h"

#include <set>
#include <thread>

#include "absl/status/status.h"
#include "google/protobuf/any.pb.h"
#include "proto/frame/wire.h"
#include "server/session/convert.h"
#include "tests/unit/rpc/rpc_fixture.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

std::string PathOf(const MethodDescriptor& method) { return "/" + method.service()->full_name() + "/" + method.name(); }

std::unique_ptr<Message> New(const google::protobuf::Descriptor* type) {
  return std::unique_ptr<Message>(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

void SetSession(Message& request) {
  const FieldDescriptor* field = request.GetDescriptor()->FindFieldByName("session_id");
  if (field != nullptr) request.GetReflection()->SetString(&request, field, "some session");
}

// The TransportError in grpc-status-details-bin.
v1::TransportError Details(const grpc::Status& status) {
  v1::TransportError error;
  const std::string details = status.error_details();
  wire::FieldReader reader(details);
  wire::Field field;
  while (reader.Next(field)) {
    google::protobuf::Any any;
    if (field.number == 1) {
      EXPECT_EQ(static_cast<int>(field.varint), static_cast<int>(status.error_code()));
    } else if (field.number == 2) {
      EXPECT_EQ(field.bytes, status.error_message());
    } else if (field.number == 3 && any.ParseFromArray(field.bytes.data(), static_cast<int>(field.bytes.size()))) {
      EXPECT_EQ(any.type_url(), "type.googleapis.com/transportd.v1.TransportError");
      EXPECT_TRUE(any.UnpackTo(&error));
    }
  }
  EXPECT_TRUE(reader.ok());
  return error;
}

using TransportRoutes = RpcFixture;

TEST_F(TransportRoutes, EveryUnaryMethodOfACommandReachesExecuteAsThatCommand) {
  manager_.SetReply([](const v1::Command& command) {
    v1::Reply reply;
    const auto& variants = *v1::Command::descriptor()->FindOneofByName("command");
    const FieldDescriptor* set = command.GetReflection()->GetOneofFieldDescriptor(command, &variants);
    reply.GetReflection()->MutableMessage(&reply, v1::Reply::descriptor()->FindFieldByNumber(set->number()));
    return reply;
  });
  const std::vector<UnaryCommand> twins = UnaryCommands();
  EXPECT_GE(twins.size(), 18u);
  for (const UnaryCommand& twin : twins) {
    SCOPED_TRACE(twin.method->full_name());
    auto request = New(twin.method->input_type());
    SetSession(*request);
    auto response = New(twin.method->output_type());
    const grpc::Status status = Unary(PathOf(*twin.method), *request, *response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    const std::vector<v1::Command> commands = manager_.TakeCommands();
    ASSERT_EQ(commands.size(), 1u);
    ASSERT_TRUE(commands[0].GetReflection()->HasField(commands[0], twin.command));
    EXPECT_EQ(commands[0].GetReflection()->GetMessage(commands[0], twin.command).SerializeAsString(),
              request->SerializeAsString());
  }
}

TEST_F(TransportRoutes, EveryVariantButTheStreamsOwnHasAUnaryMethod) {
  std::set<std::string> variants;
  const auto& oneof = *v1::Command::descriptor()->FindOneofByName("command");
  for (int i = 0; i < oneof.field_count(); ++i) variants.insert(oneof.field(i)->name());
  for (const UnaryCommand& twin : UnaryCommands()) variants.erase(twin.command->name());
  EXPECT_EQ(variants, (std::set<std::string>{"cancel", "sendto", "write"}));
}

TEST_F(TransportRoutes, NoMethodEscapesTheSessionManagerAndTheAuthorizer) {
  manager_.SetReply([](const v1::Command&) { return v1::Reply(); });
  manager_.SetBehaviour(FakeSessionManager::Behaviour::kRefuse);
  int method_count = 0;
  for (const ServiceDescriptor* service : TransportServices()) {
    for (int i = 0; i < service->method_count(); ++i) {
      const MethodDescriptor& method = *service->method(i);
      SCOPED_TRACE(method.full_name());
      ++method_count;
      if (method.client_streaming() || method.server_streaming()) {
        RawStream stream(channel_, PathOf(method));
        stream.Write("");
        std::string bytes;
        EXPECT_FALSE(stream.Read(bytes));
        (void)stream.Finish();
      } else {
        auto response = New(method.output_type());
        (void)Unary(PathOf(method), *New(method.input_type()), *response);
      }
      const size_t asked = manager_.TakeCalls().size() + authorizer_.TakeMethods().size();
      EXPECT_EQ(asked, 1u);
    }
  }
  EXPECT_GE(method_count, 25);
  for (const Caller& caller : manager_.callers()) {
    EXPECT_EQ(caller.principal, "dev");
    EXPECT_EQ(caller.peer.substr(0, 15), "ipv4:127.0.0.1:");
  }
}

TEST_F(TransportRoutes, ReplyWithoutAResultIsAnEmptyResponse) {
  manager_.SetReply([](const v1::Command&) { return v1::Reply(); });
  v1::CloseResponse response;
  EXPECT_TRUE(Unary("/transportd.v1.Transport/Close", v1::CloseRequest(), response).ok());
}

TEST_F(TransportRoutes, ErrorBecomesStatusAndDetails) {
  v1::TransportError error;
  error.set_code(static_cast<int>(absl::StatusCode::kUnavailable));
  error.set_reason("ECONNREFUSED");
  error.set_message("connect 127.0.0.1:1: Connection refused");
  error.set_errno_number(111);
  error.set_errno_name("ECONNREFUSED");
  *error.add_causes() = error;
  manager_.SetReply([&error](const v1::Command&) {
    v1::Reply reply;
    *reply.mutable_error() = error;
    return reply;
  });
  v1::CreateConnectionResponse response;
  const grpc::Status status =
      Unary("/transportd.v1.EventLoop/CreateConnection", v1::CreateConnectionRequest(), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "ECONNREFUSED: connect 127.0.0.1:1: Connection refused");
  EXPECT_EQ(Details(status).SerializeAsString(), error.SerializeAsString());
}

TEST_F(TransportRoutes, ManyLongCausesStillFitTheTrailers) {
  v1::TransportError error;
  error.set_code(static_cast<int>(absl::StatusCode::kUnavailable));
  error.set_reason("ECONNREFUSED");
  error.set_message(std::string(20'000, 'm'));
  for (int i = 0; i < 500; ++i) error.add_causes()->set_message("connect [2001:db8::1]:1: Connection refused");
  manager_.SetReply([&error](const v1::Command&) {
    v1::Reply reply;
    *reply.mutable_error() = error;
    return reply;
  });
  v1::CreateConnectionResponse response;
  const grpc::Status status =
      Unary("/transportd.v1.EventLoop/CreateConnection", v1::CreateConnectionRequest(), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Details(status).reason(), "ECONNREFUSED");
}

TEST_F(TransportRoutes, UnknownMethodSaysSo) {
  v1::CloseResponse response;
  const grpc::Status status = Unary("/transportd.v1.Transport/Nope", v1::CloseRequest(), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Details(status).reason(), "UNKNOWN_METHOD");
  EXPECT_NE(status.error_message().find("/transportd.v1.Transport/Nope"), std::string::npos);
}

TEST_F(TransportRoutes, MalformedRequestIsRefusedBeforeAnythingIsDone) {
  for (const char* path : {"/transportd.v1.Transport/Close", "/transportd.v1.EventLoop/OpenSession",
                           "/transportd.v1.Admin/GetVersion", "/grpc.health.v1.Health/Check"}) {
    SCOPED_TRACE(path);
    grpc::ClientContext context;
    std::string response;
    const grpc::Status status = Unary(context, path, "\xff\xff", response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(Details(status).reason(), "BAD_REQUEST");
  }
  EXPECT_TRUE(manager_.TakeCalls().empty());
}

TEST_F(TransportRoutes, UnaryCallWithoutARequestIsRefused) {
  RawStream stream(channel_, "/transportd.v1.Transport/Close");
  stream.HalfClose();
  EXPECT_EQ(Details(stream.Finish()).reason(), "BAD_REQUEST");
}

TEST_F(TransportRoutes, OversizeRequestIsResourceExhausted) {
  grpc::ClientContext context;
  std::string response;
  const grpc::Status status =
      Unary(context, "/transportd.v1.Transport/Write", std::string(3 * kMaxFrameBytes, 'x'), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(TransportRoutes, CompressedRequestIsRefused) {
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  std::string response;
  v1::WriteRequest request;
  request.set_data(std::string(10'000, 'x'));
  const grpc::Status status = Unary(context, "/transportd.v1.Transport/Write", request.SerializeAsString(), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(manager_.TakeCalls().empty());
}

TEST_F(TransportRoutes, CancelledCallCancelsItsCommand) {
  grpc::ClientContext context;
  std::thread canceller([&] {
    manager_.WaitForOpened(1);
    context.TryCancel();
  });
  std::string response;
  const grpc::Status status = Unary(context, "/transportd.v1.Server/WaitClosed", "", response);
  canceller.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  StopServer();
  EXPECT_EQ(manager_.lost_count(), 1);
}

TEST_F(TransportRoutes, DeadlineCancelsTheCommand) {
  grpc::ClientContext context;
  // lint: allow date: a deadline of gRPC's, which it takes in wall-clock time.
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  std::string response;
  const grpc::Status status = Unary(context, "/transportd.v1.Server/WaitClosed", "", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  StopServer();
  EXPECT_EQ(manager_.lost_count(), static_cast<int>(manager_.TakeCommands().size()));
}

TEST_F(TransportRoutes, GetVersionAsksTheAuthorizer) {
  v1::GetVersionResponse response;
  EXPECT_TRUE(Unary("/transportd.v1.Admin/GetVersion", v1::GetVersionRequest(), response).ok());
  EXPECT_EQ(response.version(), TRANSPORTD_VERSION);
  EXPECT_EQ(response.revision(), 1u);
  EXPECT_EQ(authorizer_.TakeMethods(), std::vector<std::string>{"transportd.v1.Admin.GetVersion"});
  authorizer_.DenyAll();
  const grpc::Status status = Unary("/transportd.v1.Admin/GetVersion", v1::GetVersionRequest(), response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Details(status).reason(), "POLICY_DENIED");
}

}  // namespace
}  // namespace transportd
