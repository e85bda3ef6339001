#include "server/rpc/rpc_server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <pthread.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "server/rpc/server_call.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// Calls asked for ahead of time, so that a burst of new ones waits for nobody.
constexpr int kRequestedCallsPerQueue = 64;

void SetChannelArguments(const RpcServer::Options& options, grpc::ServerBuilder& builder) {
  const auto set = [&builder](const char* name, int value) { builder.AddChannelArgument(name, value); };
  // With it a second service on the same port would take half of the connections, silently.
  set(GRPC_ARG_ALLOW_REUSEPORT, 0);
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  // A session's frames are refused by SessionStream, which says why; this is the bound for all other messages, and
  // for what is far too large. gRPC looks at it when it has the whole message: what bounds memory is the quota.
  set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
      static_cast<int>(std::min<uint64_t>(2 * options.max_message_bytes, std::numeric_limits<int>::max())));
  // A dead peer is noticed after 40 s; clients may ping as often as every 5 s.
  set(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  // What a client may send ahead on one stream at first. gRPC then tunes it, up to 4 MiB. It tunes the window of the
  // connection, too, which is 64 KiB else: with GRPC_ARG_HTTP2_BDP_PROBE off one large frame would go in a round trip.
  set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024 * 1024);
  // In pieces as large as a client likes: each costs.
  set(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1024 * 1024);
  // Statistics that nobody reads.
  set(GRPC_ARG_ENABLE_CHANNELZ, 0);
  // A compressed message could grow without bound: such calls are refused (UNIMPLEMENTED), and nothing is compressed.
  set(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
}

// Until the queue is shut down and empty.
void RunQueue(grpc::ServerCompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) static_cast<Tag*>(tag)->Complete(ok);
}

}  // namespace

RpcServer::RpcServer(const Options& options, std::shared_ptr<AcceptThread> accept)
    : accept_(std::move(accept)),
      identity_(*options.identifier, options.principal, accept_->unauthenticated()),
      listen_(options.listen) {}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Create(const Options& options) {
  std::shared_ptr<AcceptThread> accept = options.accept;
  if (accept == nullptr) {
    auto own = AcceptThread::Create(/*guard=*/nullptr, /*authentication_timeout=*/{});
    if (!own.ok()) return own.status();
    accept = *std::move(own);
  }
  auto server = std::unique_ptr<RpcServer>(new RpcServer(options, std::move(accept)));
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  grpc::ServerBuilder builder;
  SetChannelArguments(options, builder);
  builder.SetResourceQuota(grpc::ResourceQuota("transportd").Resize(options.buffer_bytes));
  builder.RegisterAsyncGenericService(&server->service_);
  auto experimental = builder.experimental();
  server->acceptor_ = experimental.AddExternalConnectionAcceptor(
      decltype(experimental)::ExternalConnectionType::FROM_FD,
      options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials());
  for (int i = 0; i < options.thread_count; ++i) server->queues_.push_back(builder.AddCompletionQueue());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return MakeError(absl::StatusCode::kUnavailable, "LISTEN_FAILED", "gRPC did not start");
  }
  return server;
}

RpcServer::~RpcServer() {
  if (server_ != nullptr && !queues_.empty()) Shutdown(std::chrono::milliseconds(0));
  CloseListeners();
  // Without a server the queues are empty, and have only to be told.
  for (auto& queue : queues_) {
    queue->Shutdown();
    RunQueue(*queue);
  }
}

absl::Status RpcServer::Listen() {
  for (const ListenAddress& address : listen_) {
    auto listener = ConnectionListener::Create(accept_->thread().loop().context(), address,
                                               /*refuses_self=*/accept_->unauthenticated() != nullptr);
    if (!listener.ok()) return listener.status();
    addresses_.push_back((*listener)->target());
    sockets_.push_back((*listener)->address());
    listeners_.push_back(*std::move(listener));
  }
  return absl::OkStatus();
}

void RpcServer::CloseListeners() {
  accept_->thread().PostAndWait([this] { listeners_.clear(); });
}

void RpcServer::Accept(UniqueFd connection, const SocketAddress& peer) {
  UnauthenticatedConnections* const unauthenticated = accept_->unauthenticated();
  if (unauthenticated != nullptr && !unauthenticated->Admit(connection.get(), peer)) return;
  // Held while gRPC is told: of a server that is shut down it would leak the connection.
  MutexLock lock(mutex_);
  if (stopping_) return;
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.fd = connection.Release();
  acceptor_->HandleNewConnection(&parameters);
}

void RpcServer::Serve(const Router& router) {
  for (auto& queue : queues_) {
    for (int i = 0; i < kRequestedCallsPerQueue; ++i) RequestCall(*queue, router);
  }
  for (size_t i = 0; i < queues_.size(); ++i) {
    threads_.emplace_back([&queue = *queues_[i]] { RunQueue(queue); });
    pthread_setname_np(threads_.back().native_handle(), StrCat("grpc-", i).c_str());
  }
  accept_->thread().Post([this] {
    for (auto& listener : listeners_) {
      listener->Start([this](UniqueFd connection, const SocketAddress& peer) { Accept(std::move(connection), peer); });
    }
  });
}

void RpcServer::RequestCall(grpc::ServerCompletionQueue& queue, const Router& router) {
  // Held while gRPC is asked: no call may be requested of a queue that is shut down.
  MutexLock lock(mutex_);
  if (stopping_) return;
  ServerCall::Request(service_, queue, live_calls_, identity_,
                      [this, &queue, &router](std::shared_ptr<ServerCall> call) {
                        RequestCall(queue, router);
                        if (call != nullptr) router.Dispatch(std::move(call));
                      });
}

void RpcServer::Shutdown(std::chrono::milliseconds grace) {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  CloseListeners();
  // lint: allow date: a deadline of gRPC's, which it takes in wall-clock time.
  server_->Shutdown(std::chrono::system_clock::now() + grace);
  live_calls_.WaitForNone();
  for (auto& queue : queues_) queue->Shutdown();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  queues_.clear();
}

}  // namespace transportd
