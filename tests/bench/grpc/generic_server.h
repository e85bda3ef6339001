// A gRPC server that takes any method and leaves its messages as they are.
#ifndef TRANSPORTD_TESTS_BENCH_GRPC_GENERIC_SERVER_H_
#define TRANSPORTD_TESTS_BENCH_GRPC_GENERIC_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "server/rpc/live_calls.h"
#include "transports/base/mutex.h"

namespace transportd::bench {

// A stream that a client has opened. It must be finished, and must live until its last operation has come back to the
// server's threads, which take every tag for a Tag (server/rpc/tag.h). Threading: as gRPC's stream.
class IncomingStream final {
 public:
  explicit IncomingStream(LiveCalls& live_calls) : live_calls_(live_calls) { live_calls_.Add(); }
  ~IncomingStream() { live_calls_.Remove(); }
  IncomingStream(const IncomingStream&) = delete;
  IncomingStream& operator=(const IncomingStream&) = delete;

  grpc::GenericServerContext& context() { return context_; }
  grpc::GenericServerAsyncReaderWriter& operations() { return operations_; }

 private:
  LiveCalls& live_calls_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter operations_{&context_};
};

// A completion queue for each thread. gRPC's own settings: a minimal stack, no bandwidth probes, write hints and no
// polling by the event engine were each tried, on both sides, and none made a difference beyond the noise.
// Threading: made and destroyed by one thread.
class GenericServer final {
 public:
  // Called with each stream, on the thread of its queue; by several threads when there are several queues.
  using Handler = std::function<void(std::unique_ptr<IncomingStream>)>;

  // Listens on a port of 127.0.0.1, without TLS.
  static absl::StatusOr<std::unique_ptr<GenericServer>> Create(int thread_count, Handler handler);
  // Cancels every stream, and waits until all are finished.
  ~GenericServer();

  // "127.0.0.1:PORT".
  const std::string& target() const { return target_; }

 private:
  explicit GenericServer(Handler handler) : handler_(std::move(handler)) {}

  void RequestStream(grpc::ServerCompletionQueue& queue);

  const Handler handler_;
  LiveCalls live_calls_;
  grpc::AsyncGenericService service_;
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  std::string target_;
  std::vector<std::thread> threads_;
  Mutex mutex_;
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_GRPC_GENERIC_SERVER_H_
