#include "tests/bench/grpc/load_stream.h"

#include <grpcpp/support/slice.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "transports/base/clock.h"
#include "transports/base/str_cat.h"

namespace transportd::bench {
namespace {

// The server does not ask.
constexpr char kMethod[] = "/transportd.bench/Echo";

// Of a message of a shared stream.
using Index = uint32_t;

grpc::ByteBuffer MakeMessage(bool has_index, size_t index, size_t size_bytes) {
  std::string message(size_bytes, 'x');
  if (has_index) {
    const auto number = static_cast<Index>(index);
    message.insert(0, reinterpret_cast<const char*>(&number), sizeof(number));
  }
  const grpc::Slice slice(message);
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace

LoadStream::LoadStream(grpc::GenericStub& stub, grpc::CompletionQueue& queue, Measurement& measurement,
                       const Settings& settings, absl::AnyInvocable<void(const LoadStream&)> on_end)
    : settings_(settings),
      measurement_(measurement),
      operations_(stub.PrepareCall(&context_, kMethod, &queue)),
      on_end_(std::move(on_end)) {
  for (size_t index = 0; index < settings_.connection_count; ++index) {
    connections_.push_back({.message = MakeMessage(settings_.is_shared, index, settings_.size_bytes)});
    due_.push_back(index);
  }
  playing_count_ = settings_.connection_count;
  operations_->StartCall(start_tag_.Arm(nullptr, [this](bool ok) { HandleStarted(ok); }));
}

absl::Status LoadStream::status() const {
  if (!failure_.ok()) return failure_;
  if (!status_.ok()) return {static_cast<absl::StatusCode>(status_.error_code()), status_.error_message()};
  return playing_count_ == 0 ? absl::OkStatus() : absl::UnavailableError("the server ended a stream");
}

void LoadStream::HandleStarted(bool ok) {
  if (!ok) return Finish();
  WriteWhatIsDue();
  Read();
}

void LoadStream::Read() {
  operations_->Read(&received_, read_tag_.Arm(nullptr, [this](bool ok) { HandleRead(ok); }));
}

void LoadStream::HandleRead(bool ok) {
  if (!ok) return Finish();
  size_t index = 0;
  size_t size_bytes = received_.Length();
  if (settings_.is_shared && !ReadIndex(index, size_bytes)) return Fail("an answer without a number of ours");
  Connection& connection = connections_[index];
  connection.answered_bytes += size_bytes;
  if (connection.answered_bytes > settings_.size_bytes) return Fail("an answer longer than its question");
  if (connection.answered_bytes == settings_.size_bytes) HandleRoundTrip(index);
  Read();
}

bool LoadStream::ReadIndex(size_t& index, size_t& size_bytes) const {
  grpc::Slice message;
  if (!received_.TrySingleSlice(&message).ok() && !received_.DumpToSingleSlice(&message).ok()) return false;
  Index number = 0;
  if (message.size() < sizeof(number)) return false;
  std::memcpy(&number, message.begin(), sizeof(number));
  index = number;
  size_bytes = message.size() - sizeof(number);
  return index < connections_.size();
}

void LoadStream::HandleRoundTrip(size_t index) {
  const TimePoint now = SystemClock().Now();
  Connection& connection = connections_[index];
  connection.answered_bytes = 0;
  if (std::exchange(connection.has_made_round_trip, true)) {
    measurement_.Add(connection.sent_at, now);
  } else {
    measurement_.AddFirst(now);
  }
  if (measurement_.IsOver(now)) {
    --playing_count_;
  } else {
    connection.sent_at = now;
    due_.push_back(index);
  }
  WriteWhatIsDue();
}

void LoadStream::WriteWhatIsDue() {
  if (is_writing_) return;
  if (!due_.empty()) {
    is_writing_ = true;
    const Connection& connection = connections_[due_.front()];
    due_.pop_front();
    operations_->Write(connection.message, write_tag_.Arm(nullptr, [this](bool ok) { HandleWritten(ok); }));
  } else if (playing_count_ == 0 && !std::exchange(has_half_closed_, true)) {
    is_writing_ = true;
    operations_->WritesDone(write_tag_.Arm(nullptr, [this](bool ok) { HandleWritten(ok); }));
  }
}

void LoadStream::HandleWritten(bool ok) {
  if (!ok) return;  // The stream is broken; the read says so, too.
  is_writing_ = false;
  WriteWhatIsDue();
}

void LoadStream::Fail(std::string_view what) {
  failure_ = absl::DataLossError(ToAbsl(what));
  context_.TryCancel();
  Finish();
}

void LoadStream::Finish() {
  operations_->Finish(&status_, finish_tag_.Arm(nullptr, [this](bool) { on_end_(*this); }));
}

}  // namespace transportd::bench
