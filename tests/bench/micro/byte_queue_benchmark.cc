// The write buffer of a stream: bytes in, described for writev(2), and out.
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <string>

#include "benchmark/benchmark.h"
#include "transports/base/byte_queue.h"

namespace transportd {
namespace {

// `bytes` in at the back and out at the front, of a queue that has `waiting` bytes all the time. With none it is empty
// in between, and owns no memory.
void AppendPeekConsume(benchmark::State& state) {
  const std::string data(static_cast<size_t>(state.range(0)), 'x');
  ByteQueue queue;
  queue.Append(std::string(static_cast<size_t>(state.range(1)), 'x'));
  std::array<iovec, 16> pieces{};
  for (auto _ : state) {
    queue.Append(data);
    benchmark::DoNotOptimize(queue.Peek(pieces));
    benchmark::DoNotOptimize(pieces.data());
    queue.Consume(data.size());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(AppendPeekConsume)
    ->ArgNames({"bytes", "waiting"})
    ->ArgsProduct({{64, 1024, 16 * 1024, 256 * 1024}, {0, 64 * 1024, 1024 * 1024}});

}  // namespace
}  // namespace transportd
