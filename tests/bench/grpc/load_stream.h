// One stream of the load, and the logical connections that it carries.
#ifndef TRANSPORTD_TESTS_BENCH_GRPC_LOAD_STREAM_H_
#define TRANSPORTD_TESTS_BENCH_GRPC_LOAD_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/rpc/tag.h"
#include "tests/bench/grpc/measurement.h"
#include "transports/api/time.h"

namespace transportd::bench {

// Every connection plays ping-pong until the measurement is over; the stream is then ended in order. Must live until
// its queue is empty. Threading: the thread of the queue only.
class LoadStream final {
 public:
  struct Settings {
    size_t connection_count = 1;
    size_t size_bytes = 64;
    // Each message begins with the number of its connection.
    bool is_shared = false;
  };

  // All three outlive the stream. `queue`'s tags are Tags. `on_end` is called once, at the end.
  LoadStream(grpc::GenericStub& stub, grpc::CompletionQueue& queue, Measurement& measurement, const Settings& settings,
             absl::AnyInvocable<void(const LoadStream&)> on_end);

  void Cancel() { context_.TryCancel(); }
  // How it ended.
  absl::Status status() const;

 private:
  struct Connection {
    grpc::ByteBuffer message = {};
    TimePoint sent_at = {};     // When it was due.
    size_t answered_bytes = 0;  // A tunnel may cut messages to pieces.
    bool has_made_round_trip = false;
  };

  void HandleStarted(bool ok);
  void Read();
  void HandleRead(bool ok);
  // Of a shared stream's message: the number of its connection, and how much follows it; false: there is none.
  bool ReadIndex(size_t& index, size_t& size_bytes) const;
  void HandleRoundTrip(size_t index);
  void WriteWhatIsDue();
  void HandleWritten(bool ok);
  void Fail(std::string_view what);
  void Finish();

  const Settings settings_;
  Measurement& measurement_;
  std::vector<Connection> connections_;
  std::deque<size_t> due_;    // Connections whose message waits to be written.
  size_t playing_count_ = 0;  // Connections whose message waits or is on its way.
  bool is_writing_ = false;   // A Write or the WritesDone.
  bool has_half_closed_ = false;
  absl::Status failure_;  // What this end found wrong.

  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> operations_;
  Tag start_tag_, read_tag_, write_tag_, finish_tag_;
  grpc::ByteBuffer received_;
  grpc::Status status_;
  absl::AnyInvocable<void(const LoadStream&)> on_end_;
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_GRPC_LOAD_STREAM_H_
