#include "tests/bench/grpc/load.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>
#include <vector>

#include "server/rpc/tag.h"
#include "tests/bench/grpc/load_stream.h"
#include "tests/bench/grpc/measurement.h"

namespace transportd::bench {

absl::StatusOr<std::string> RunLoad(const LoadOptions& options) {
  Measurement measurement(options.connection_count, options.warmup, options.period);
  grpc::GenericStub stub(grpc::CreateChannel(options.target, grpc::InsecureChannelCredentials()));
  grpc::CompletionQueue queue;
  const size_t stream_count = options.one_stream ? 1 : options.connection_count;
  const LoadStream::Settings settings{.connection_count = options.connection_count / stream_count,
                                      .size_bytes = options.size_bytes,
                                      .is_shared = options.one_stream};
  std::vector<std::unique_ptr<LoadStream>> streams;
  size_t ended_count = 0;
  absl::Status status;
  const auto on_end = [&](const LoadStream& ended) {
    if (status.ok() && !ended.status().ok()) {
      status = ended.status();
      for (const auto& stream : streams) stream->Cancel();
    }
    if (++ended_count == stream_count) queue.Shutdown();
  };
  while (streams.size() < stream_count) {
    streams.push_back(std::make_unique<LoadStream>(stub, queue, measurement, settings, on_end));
  }

  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) static_cast<Tag*>(tag)->Complete(ok);
  if (!status.ok()) return status;
  return measurement.ToJson();
}

}  // namespace transportd::bench
