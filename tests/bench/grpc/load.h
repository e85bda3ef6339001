// Round trips through streams of a raw gRPC server.
#ifndef TRANSPORTD_TESTS_BENCH_GRPC_LOAD_H_
#define TRANSPORTD_TESTS_BENCH_GRPC_LOAD_H_

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "transports/api/time.h"

namespace transportd::bench {

struct LoadOptions {
  std::string target = {};
  // Logical connections; each has one message on its way at any time.
  size_t connection_count = 1;
  size_t size_bytes = 64;
  // All connections share a stream, and a message begins with its connection's number; false: a stream each.
  bool one_stream = false;
  Duration warmup = std::chrono::milliseconds(500);
  Duration period = std::chrono::seconds(3);
};

// Measures for `period`, from `warmup` after the first answer to the last of the connections; the figures are those of
// Latencies::ToJson. One thread, one queue, one channel. Fails when a stream breaks, and when an answer is longer than
// its question.
absl::StatusOr<std::string> RunLoad(const LoadOptions& options);

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_GRPC_LOAD_H_
