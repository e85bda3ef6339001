// gRPC's server: listeners, completion queues and their threads.
#ifndef TRANSPORTD_SERVER_RPC_RPC_SERVER_H_
#define TRANSPORTD_SERVER_RPC_RPC_SERVER_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "server/rpc/live_calls.h"
#include "server/rpc/router.h"
#include "transports/base/mutex.h"

namespace transportd {

// Takes every call in one place and dispatches it by its name. Create, then Serve, then Shutdown, each once.
// Threading: one thread.
class RpcServer final {
 public:
  struct Options {
    std::vector<std::string>
        listen;  // In gRPC's notation: `127.0.0.1:0`, `[::1]:0`, `unix:PATH`, `unix-abstract:NAME`.
    int thread_count = 1;
    int max_concurrent_streams = 1000;  // Of each connection.
    uint64_t max_message_bytes = 4 * 1024 * 1024;
    // What gRPC may hold of messages that have not all arrived, of all connections together. Beyond it gRPC cancels
    // calls (RESOURCE_EXHAUSTED), not only those that are to blame.
    uint64_t buffer_bytes = 512ull * 1024 * 1024;
  };

  // Listens; calls wait until Serve. UNAVAILABLE when an address cannot be had: gRPC does not say why.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Create(const Options& options);
  ~RpcServer();

  // Where each listener can be dialled, in the order of Options.listen, with the real port.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Begins to take calls. `router` outlives Shutdown.
  void Serve(const Router& router);

  // Refuses new calls, gives those that are under way `grace`, then cancels them. Returns when the last one is gone;
  // whoever holds a call (a session) must have let go of it, or do so meanwhile.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  RpcServer() = default;

  void RequestCall(grpc::ServerCompletionQueue& queue, const Router& router);

  grpc::AsyncGenericService service_;
  LiveCalls live_calls_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::string> addresses_;
  std::vector<std::thread> threads_;

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;  // No call is requested any more.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_RPC_SERVER_H_
