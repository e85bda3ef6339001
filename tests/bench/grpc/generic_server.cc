#include "tests/bench/grpc/generic_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "server/rpc/tag.h"
#include "transports/base/str_cat.h"

namespace transportd::bench {
namespace {

// Asked for ahead of time, so that a burst of new streams waits for nobody.
constexpr int kRequestedStreamsPerQueue = 64;

// Until the queue is shut down and empty.
void RunQueue(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) static_cast<Tag*>(tag)->Complete(ok);
}

// The wish for a stream, until it has come.
struct Request {
  std::unique_ptr<IncomingStream> stream;
  Tag tag;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GenericServer>> GenericServer::Create(int thread_count, Handler handler) {
  auto server = std::unique_ptr<GenericServer>(new GenericServer(std::move(handler)));
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterAsyncGenericService(&server->service_);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  for (int i = 0; i < thread_count; ++i) server->queues_.push_back(builder.AddCompletionQueue());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) return absl::UnavailableError("cannot listen on 127.0.0.1");
  server->target_ = StrCat("127.0.0.1:", port);
  for (const auto& queue : server->queues_) {
    for (int i = 0; i < kRequestedStreamsPerQueue; ++i) server->RequestStream(*queue);
    server->threads_.emplace_back([&queue = *queue] { RunQueue(queue); });
  }
  return server;
}

GenericServer::~GenericServer() {
  {
    MutexLock lock(mutex_);
    is_stopping_ = true;
  }
  // lint: allow date: a deadline of gRPC's, which it takes in wall-clock time.
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  live_calls_.WaitForNone();
  for (const auto& queue : queues_) queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
  // Without threads nobody has emptied the queues.
  if (threads_.empty()) {
    for (const auto& queue : queues_) RunQueue(*queue);
  }
}

void GenericServer::RequestStream(grpc::ServerCompletionQueue& queue) {
  // Held while gRPC is asked: no stream may be requested of a queue that is shut down.
  MutexLock lock(mutex_);
  if (is_stopping_) return;
  auto request = std::make_shared<Request>();
  request->stream = std::make_unique<IncomingStream>(live_calls_);
  IncomingStream& stream = *request->stream;
  void* tag = request->tag.Arm(request, [this, &queue, &request = *request](bool ok) {
    if (!ok) return;
    RequestStream(queue);
    handler_(std::move(request.stream));
  });
  service_.RequestCall(&stream.context(), &stream.operations(), &queue, &queue, tag);
}

}  // namespace transportd::bench
