#include "tests/unit/rpc/rpc_fixture.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <poll.h>

#include <chrono>
#include <utility>

#include "server/policy/dev_identifier.h"
#include "server/rpc/transport_routes.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/clock.h"

namespace transportd {
namespace {

const DevIdentifier kDev{};

// Keeps the library, and the descriptors that it opens once, from before the first test to after the last.
class GrpcEnvironment final : public testing::Environment {
 public:
  void SetUp() override {
    RpcServer::Options options;
    options.listen = {*ParseListenAddress("127.0.0.1:0")};
    options.identifier = &kDev;
    auto server = RpcServer::Create(options);
    CHECK(server.ok());
    server_ = *std::move(server);
    const Router router;
    server_->Serve(router);
    auto channel = grpc::CreateChannel(server_->addresses().front(), grpc::InsecureChannelCredentials());
    // lint: allow date: a deadline of gRPC's, which it takes in wall-clock time.
    CHECK(channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(30)));
    queue_ = std::make_unique<grpc::CompletionQueue>();
    channel.reset();
    server_->Shutdown(std::chrono::seconds(0));
  }
  void TearDown() override {
    queue_->Shutdown();
    queue_.reset();
    server_.reset();
  }

 private:
  std::unique_ptr<grpc::CompletionQueue> queue_;  // Holds a reference to the library.
  std::unique_ptr<RpcServer> server_;
};

[[maybe_unused]] testing::Environment* const kEnvironment = testing::AddGlobalTestEnvironment(new GrpcEnvironment);

}  // namespace

grpc::ByteBuffer ToBytes(const std::string& text) {
  grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToText(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  CHECK(bytes.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

absl::Status RecordingAuthorizer::Authorize(const Caller& /*caller*/, const Access& access) const {
  MutexLock lock(mutex_);
  methods_.emplace_back(access.method);
  return deny_ ? MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "not allowed") : absl::OkStatus();
}

void RecordingAuthorizer::DenyAll() {
  MutexLock lock(mutex_);
  deny_ = true;
}

std::vector<std::string> RecordingAuthorizer::TakeMethods() {
  MutexLock lock(mutex_);
  return std::exchange(methods_, {});
}

FdSettler::~FdSettler() {
  for (int waited_ms = 0; waited_ms < 5000 && OpenFds().size() > before_.size(); ++waited_ms) poll(nullptr, 0, 1);
}

RpcFixture::RpcFixture() {
  RpcServer::Options options;
  options.listen = {*ParseListenAddress("127.0.0.1:0")};
  options.identifier = &kDev;
  options.thread_count = 2;
  options.max_message_bytes = kMaxFrameBytes;
  auto server = RpcServer::Create(options);
  CHECK(server.ok());
  server_ = *std::move(server);
  AddTransportRoutes(manager_, authorizer_, SystemClock(), kMaxFrameBytes, router_);
  health_ = std::make_unique<HealthService>(router_.services());
  reflection_ = std::make_unique<ReflectionService>(router_.services(), authorizer_);
  health_->AddRoutes(router_);
  reflection_->AddRoutes(router_);
  server_->Serve(router_);
  channel_ = NewChannel();
}

RpcFixture::~RpcFixture() {
  channel_.reset();
  StopServer();
}

void RpcFixture::StopServer() {
  if (server_ == nullptr) return;
  health_->Stop();
  server_->Shutdown(std::chrono::seconds(1));
  server_.reset();
}

std::shared_ptr<grpc::Channel> RpcFixture::NewChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection of its own.
  return grpc::CreateCustomChannel(server_->addresses().front(), grpc::InsecureChannelCredentials(), arguments);
}

grpc::Status RpcFixture::Unary(grpc::ClientContext& context, const std::string& path, const std::string& request,
                               std::string& response) {
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel_);
  auto call = stub.PrepareUnaryCall(&context, path, ToBytes(request), &queue);
  call->StartCall();
  grpc::ByteBuffer bytes;
  grpc::Status status;
  call->Finish(&bytes, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  CHECK(queue.Next(&tag, &ok));
  if (status.ok()) response = ToText(bytes);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return status;
}

grpc::Status RpcFixture::Unary(const std::string& path, const google::protobuf::Message& request,
                               google::protobuf::Message& response) {
  grpc::ClientContext context;
  std::string bytes;
  const grpc::Status status = Unary(context, path, request.SerializeAsString(), bytes);
  CHECK(response.ParseFromString(bytes));
  return status;
}

RawStream::RawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& path) : stub_(channel) {
  stream_ = stub_.PrepareCall(&context_, path, &queue_);
  stream_->StartCall(nullptr);
  Wait();
}

RawStream::~RawStream() {
  if (!finished_) {
    Cancel();
    (void)Finish();
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

bool RawStream::Wait() {
  void* tag = nullptr;
  bool ok = false;
  CHECK(queue_.Next(&tag, &ok));
  return ok;
}

bool RawStream::Write(const std::string& bytes) {
  stream_->Write(ToBytes(bytes), nullptr);
  return Wait();
}

bool RawStream::Read(std::string& bytes) {
  grpc::ByteBuffer buffer;
  stream_->Read(&buffer, nullptr);
  if (!Wait()) return false;
  bytes = ToText(buffer);
  return true;
}

void RawStream::HalfClose() {
  stream_->WritesDone(nullptr);
  Wait();
}

grpc::Status RawStream::Finish() {
  grpc::Status status;
  stream_->Finish(&status, nullptr);
  Wait();
  finished_ = true;
  return status;
}

}  // namespace transportd
