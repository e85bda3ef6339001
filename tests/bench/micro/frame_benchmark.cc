// Frames: what the hot variants cost by hand, and beside each the same frame by protobuf's own code.
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "benchmark/benchmark.h"
#include "proto/frame/frame_buffer.h"
#include "proto/frame/frame_reader.h"
#include "proto/frame/frame_writer.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

constexpr uint64_t kSequence = 123'456;
constexpr uint64_t kAcknowledgedSequence = 123'450;
constexpr uint64_t kSentBytes = 10'000'000'000;

// What one frame is made of.
struct FrameShape {
  explicit FrameShape(const benchmark::State& state)
      : data(static_cast<size_t>(state.range(1)), 'x'), entry_count(static_cast<uint32_t>(state.range(0))) {}

  std::string data;
  uint32_t entry_count;
};

void CountEntries(benchmark::State& state) {
  const int64_t entry_count = static_cast<int64_t>(state.iterations()) * state.range(0);
  state.SetItemsProcessed(entry_count);
  state.SetBytesProcessed(entry_count * state.range(1));
}

// 64 B, 1 KiB and 16 KiB, 1, 64 and 256 times in a frame.
void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"entries", "bytes"})->ArgsProduct({{1, 64, 256}, {64, 1024, 16 * 1024}});
}

// Entries without data.
void Counts(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"entries", "bytes"})->ArgsProduct({{1, 64, 256}, {0}});
}

// Into a block of its own, as a frame that is written by hand.
FrameBuffer Serialize(const google::protobuf::MessageLite& message) {
  FrameBuffer frame;
  const size_t size_bytes = message.ByteSizeLong();
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(frame.Reserve(size_bytes).data()));
  frame.Commit(size_bytes);
  return frame;
}

FrameBuffer WriteFrameOfWrites(const FrameShape& shape) {
  FrameWriter writer;
  for (uint32_t id = 1; id <= shape.entry_count; ++id) writer.AppendWrite(id, shape.data);
  return writer.Seal(kSequence, kAcknowledgedSequence);
}

FrameBuffer WriteFrameOfDataReceived(const FrameShape& shape) {
  FrameWriter writer;
  for (uint32_t id = 1; id <= shape.entry_count; ++id) {
    // In place of the recv(2) that fills it.
    const std::span<char> room = writer.BeginDataReceived(id, shape.data.size());
    std::memcpy(room.data(), shape.data.data(), shape.data.size());
    writer.EndDataReceived(shape.data.size());
  }
  return writer.Seal(kSequence, kAcknowledgedSequence);
}

FrameBuffer WriteFrameOfProgress(const FrameShape& shape) {
  FrameWriter writer;
  for (uint32_t id = 1; id <= shape.entry_count; ++id) writer.AppendWriteProgress(id, kSentBytes);
  return writer.Seal(kSequence, kAcknowledgedSequence);
}

void WriteWrites(benchmark::State& state) {
  const FrameShape shape(state);
  for (auto _ : state) benchmark::DoNotOptimize(WriteFrameOfWrites(shape).data());
  CountEntries(state);
}
BENCHMARK(WriteWrites)->Apply(Shapes);

void WriteWritesByProtobuf(benchmark::State& state) {
  const FrameShape shape(state);
  v1::SessionRequest request;
  for (auto _ : state) {
    request.Clear();
    for (uint32_t id = 1; id <= shape.entry_count; ++id) {
      v1::Command& command = *request.add_commands();
      command.set_transport_id(id);
      command.set_write(shape.data);
    }
    request.set_sequence(kSequence);
    request.set_acknowledged_sequence(kAcknowledgedSequence);
    benchmark::DoNotOptimize(Serialize(request).data());
  }
  CountEntries(state);
}
BENCHMARK(WriteWritesByProtobuf)->Apply(Shapes);

void WriteDataReceived(benchmark::State& state) {
  const FrameShape shape(state);
  for (auto _ : state) benchmark::DoNotOptimize(WriteFrameOfDataReceived(shape).data());
  CountEntries(state);
}
BENCHMARK(WriteDataReceived)->Apply(Shapes);

void WriteDataReceivedByProtobuf(benchmark::State& state) {
  const FrameShape shape(state);
  v1::SessionResponse response;
  for (auto _ : state) {
    response.Clear();
    for (uint32_t id = 1; id <= shape.entry_count; ++id) {
      v1::Callback& callback = *response.add_callbacks();
      callback.set_transport_id(id);
      callback.set_data_received(shape.data);
    }
    response.set_sequence(kSequence);
    response.set_acknowledged_sequence(kAcknowledgedSequence);
    benchmark::DoNotOptimize(Serialize(response).data());
  }
  CountEntries(state);
}
BENCHMARK(WriteDataReceivedByProtobuf)->Apply(Shapes);

void WriteProgress(benchmark::State& state) {
  const FrameShape shape(state);
  for (auto _ : state) benchmark::DoNotOptimize(WriteFrameOfProgress(shape).data());
  CountEntries(state);
}
BENCHMARK(WriteProgress)->Apply(Counts);

void WriteProgressByProtobuf(benchmark::State& state) {
  const FrameShape shape(state);
  v1::SessionResponse response;
  for (auto _ : state) {
    response.Clear();
    for (uint32_t id = 1; id <= shape.entry_count; ++id) {
      v1::Callback& callback = *response.add_callbacks();
      callback.set_transport_id(id);
      callback.set_write_progress(kSentBytes);
    }
    response.set_sequence(kSequence);
    response.set_acknowledged_sequence(kAcknowledgedSequence);
    benchmark::DoNotOptimize(Serialize(response).data());
  }
  CountEntries(state);
}
BENCHMARK(WriteProgressByProtobuf)->Apply(Counts);

void ReadWrites(benchmark::State& state) {
  const FrameBuffer bytes = WriteFrameOfWrites(FrameShape(state));
  FrameView frame;
  for (auto _ : state) {
    CHECK(ReadFrame(bytes.view(), frame));
    for (const EntryView& entry : frame.entries) benchmark::DoNotOptimize(ReadHotCommand(entry));
  }
  CountEntries(state);
}
BENCHMARK(ReadWrites)->Apply(Shapes);

void ReadWritesByProtobuf(benchmark::State& state) {
  const FrameBuffer bytes = WriteFrameOfWrites(FrameShape(state));
  v1::SessionRequest request;
  for (auto _ : state) {
    CHECK(request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    for (const v1::Command& command : request.commands()) benchmark::DoNotOptimize(command.write().data());
  }
  CountEntries(state);
}
BENCHMARK(ReadWritesByProtobuf)->Apply(Shapes);

void ReadCallbacks(benchmark::State& state, const FrameBuffer& bytes) {
  FrameView frame;
  for (auto _ : state) {
    CHECK(ReadFrame(bytes.view(), frame));
    for (const EntryView& entry : frame.entries) benchmark::DoNotOptimize(ReadHotCallback(entry));
  }
  CountEntries(state);
}

void ReadCallbacksByProtobuf(benchmark::State& state, const FrameBuffer& bytes) {
  v1::SessionResponse response;
  for (auto _ : state) {
    CHECK(response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    for (const v1::Callback& callback : response.callbacks()) benchmark::DoNotOptimize(callback.callback_case());
  }
  CountEntries(state);
}

void ReadDataReceived(benchmark::State& state) { ReadCallbacks(state, WriteFrameOfDataReceived(FrameShape(state))); }
BENCHMARK(ReadDataReceived)->Apply(Shapes);

void ReadDataReceivedByProtobuf(benchmark::State& state) {
  ReadCallbacksByProtobuf(state, WriteFrameOfDataReceived(FrameShape(state)));
}
BENCHMARK(ReadDataReceivedByProtobuf)->Apply(Shapes);

void ReadProgress(benchmark::State& state) { ReadCallbacks(state, WriteFrameOfProgress(FrameShape(state))); }
BENCHMARK(ReadProgress)->Apply(Counts);

void ReadProgressByProtobuf(benchmark::State& state) {
  ReadCallbacksByProtobuf(state, WriteFrameOfProgress(FrameShape(state)));
}
BENCHMARK(ReadProgressByProtobuf)->Apply(Counts);

}  // namespace
}  // namespace transportd
