// A stream that is carried to a TCP connection of its own, as tunnels built on gRPC do.
#ifndef TRANSPORTD_TESTS_BENCH_GRPC_TUNNEL_STREAM_H_
#define TRANSPORTD_TESTS_BENCH_GRPC_TUNNEL_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "server/rpc/tag.h"
#include "tests/bench/grpc/generic_server.h"
#include "transports/api/event_loop.h"
#include "transports/api/protocol.h"
#include "transports/base/mutex.h"

namespace transportd::bench {

// Each message is written to the connection, each read of the connection becomes a message, unless the one before has
// not left yet: then they wait. When the client has ended or the connection is lost, so is the other. Lives as long as
// an operation is under way, or the connection.
// Threading: loop thread only, but for the Handle functions: those the thread of the stream's queue only.
class TunnelStream final : public Protocol, public std::enable_shared_from_this<TunnelStream> {
 public:
  // Connects to `port` of 127.0.0.1. From any thread. `loop` outlives the stream.
  static void Serve(std::unique_ptr<IncomingStream> stream, EventLoop& loop, uint32_t port);

  TunnelStream(std::unique_ptr<IncomingStream> stream, EventLoop& loop) : stream_(std::move(stream)), loop_(loop) {}

  // Protocol
  void ConnectionMade(std::shared_ptr<Transport> transport) override;
  void DataReceived(std::string_view data) override;
  void PauseWriting() override { is_writing_paused_ = true; }
  void ResumeWriting() override;
  void ConnectionLost(const ConnectionEnd& end) override;

 private:
  // What waits to be sent; with so much, the connection is not read.
  static constexpr size_t kMaxWaitingBytes = 256 * 1024;

  void Connect(uint32_t port);
  void Read();
  void HandleRead(bool ok);
  void Deliver(bool ok);
  void Write(const grpc::ByteBuffer& message);
  void HandleWritten(bool ok);
  // Once the last message has been written.
  void Finish(const grpc::Status& status);

  const std::unique_ptr<IncomingStream> stream_;
  EventLoop& loop_;
  Tag read_tag_, write_tag_, finish_tag_;
  std::shared_ptr<Transport> transport_;
  bool is_writing_paused_ = false;
  grpc::ByteBuffer received_;  // The loop's from the end of a Read to the beginning of the next.

  Mutex mutex_;
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_reading_paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<grpc::ByteBuffer> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_GRPC_TUNNEL_STREAM_H_
