// A stream whose messages go back as they came.
#ifndef TRANSPORTD_TESTS_BENCH_GRPC_ECHO_STREAM_H_
#define TRANSPORTD_TESTS_BENCH_GRPC_ECHO_STREAM_H_

#include <grpcpp/support/byte_buffer.h>

#include <deque>
#include <memory>

#include "server/rpc/tag.h"
#include "tests/bench/grpc/generic_server.h"

namespace transportd::bench {

// Lives as long as an operation is under way. Threading: the thread of the stream's queue only.
class EchoStream final : public std::enable_shared_from_this<EchoStream> {
 public:
  // A GenericServer::Handler.
  static void Serve(std::unique_ptr<IncomingStream> stream);

  explicit EchoStream(std::unique_ptr<IncomingStream> stream) : stream_(std::move(stream)) {}

 private:
  // Messages that wait for their turn to be written; with so many of them, no more is read.
  static constexpr size_t kMaxWaitingCount = 256;

  void Read();
  void HandleRead(bool ok);
  void Write(const grpc::ByteBuffer& message);
  void HandleWritten(bool ok);
  void Finish();

  const std::unique_ptr<IncomingStream> stream_;
  Tag read_tag_, write_tag_, finish_tag_;
  grpc::ByteBuffer received_;
  std::deque<grpc::ByteBuffer> waiting_;
  bool is_reading_ = false;
  bool is_writing_ = false;
  bool has_ended_ = false;  // The client sends no more, or the stream is broken.
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_GRPC_ECHO_STREAM_H_
