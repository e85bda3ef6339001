// gRPC's server: listeners, completion queues and their threads.
#ifndef TRANSPORTD_SERVER_RPC_RPC_SERVER_H_
#define TRANSPORTD_SERVER_RPC_RPC_SERVER_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "server/listen/accept_thread.h"
#include "server/listen/connection_listener.h"
#include "server/listen/listen_address.h"
#include "server/policy/identifier.h"
#include "server/rpc/call_identity.h"
#include "server/rpc/live_calls.h"
#include "server/rpc/router.h"
#include "transports/base/mutex.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Takes every call in one place and dispatches it by its name. The listening sockets are ours (ConnectionListener), on
// a thread of their own (AcceptThread); gRPC gets connections. Create, then Serve, then Shutdown, each once. Threading:
// one thread.
class RpcServer final {
 public:
  struct Options {
    std::vector<ListenAddress> listen;
    std::shared_ptr<grpc::ServerCredentials> credentials;  // Of all of them; null: plaintext.
    const Identifier* identifier = nullptr;                // Says who calls; outlives the server.
    std::optional<std::string> principal = {};             // Whom the listeners stand for; unset: nobody.
    // Shared with other servers; null: one of its own, and everybody may connect.
    std::shared_ptr<AcceptThread> accept = {};
    int thread_count = 1;
    int max_concurrent_streams = 1000;  // Of each connection.
    uint64_t max_message_bytes = 4 * 1024 * 1024;
    // What gRPC may hold of messages that have not all arrived, of all connections together. Beyond it gRPC cancels
    // calls (RESOURCE_EXHAUSTED), not only those that are to blame.
    uint64_t buffer_bytes = 512ull * 1024 * 1024;
  };

  // Listens; connections wait until Serve. The kernel's error when an address cannot be had; UNAVAILABLE /
  // LISTEN_FAILED when gRPC does not start: it does not say why.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Create(const Options& options);
  ~RpcServer();

  // Where each listener can be dialled, in the order of Options.listen, with the real port.
  const std::vector<std::string>& addresses() const { return addresses_; }
  // Options.listen.
  const std::vector<ListenAddress>& listeners() const { return listen_; }
  // What they are bound to, in the same order.
  const std::vector<SocketAddress>& sockets() const { return sockets_; }

  // Begins to take calls. `router` outlives Shutdown.
  void Serve(const Router& router);

  // Refuses new connections and calls, gives those that are under way `grace`, then cancels them. Returns when the last
  // one is gone; whoever holds a call (a session) must have let go of it, or do so meanwhile.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  RpcServer(const Options& options, std::shared_ptr<AcceptThread> accept);

  absl::Status Listen();
  void CloseListeners();
  // From the listeners' thread.
  void Accept(UniqueFd connection, const SocketAddress& peer);
  void RequestCall(grpc::ServerCompletionQueue& queue, const Router& router);

  const std::shared_ptr<AcceptThread> accept_;  // Shared with other servers.
  const CallIdentity identity_;
  const std::vector<ListenAddress> listen_;
  grpc::AsyncGenericService service_;
  LiveCalls live_calls_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<ConnectionListener>> listeners_;  // The accept thread's, but for their making.
  std::vector<std::string> addresses_;
  std::vector<SocketAddress> sockets_;
  std::vector<std::thread> threads_;

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;  // No call is requested any more, no connection handed over.
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_RPC_SERVER_H_
