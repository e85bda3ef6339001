#include "tests/bench/grpc/tunnel_stream.h"

#include <grpcpp/support/slice.h>

#include <vector>

#include "absl/status/statusor.h"

namespace transportd::bench {

void TunnelStream::Serve(std::unique_ptr<IncomingStream> stream, EventLoop& loop, uint32_t port) {
  auto tunnel = std::make_shared<TunnelStream>(std::move(stream), loop);
  loop.CallSoonThreadsafe([tunnel = std::move(tunnel), port] { tunnel->Connect(port); });
}

void TunnelStream::Connect(uint32_t port) {
  loop_.CreateConnection([self = shared_from_this()] { return self; }, {.remote = {.host = "127.0.0.1", .port = port}},
                         [self = shared_from_this()](const absl::StatusOr<Connection>& connection) {
                           if (!connection.ok()) self->Finish({grpc::StatusCode::UNAVAILABLE, "cannot connect"});
                         });
}

void TunnelStream::ConnectionMade(std::shared_ptr<Transport> transport) {
  transport_ = std::move(transport);
  Read();
}

void TunnelStream::Read() {
  stream_->operations().Read(&received_, read_tag_.Arm(shared_from_this(), [this](bool ok) { HandleRead(ok); }));
}

void TunnelStream::HandleRead(bool ok) {
  loop_.CallSoonThreadsafe([self = shared_from_this(), ok] { self->Deliver(ok); });
}

void TunnelStream::Deliver(bool ok) {
  if (transport_ == nullptr) return;
  if (!ok) return transport_->Close();
  std::vector<grpc::Slice> slices;
  // Does not fail for a buffer that a read has filled.
  static_cast<void>(received_.Dump(&slices));
  std::vector<std::string_view> lines;
  lines.reserve(slices.size());
  for (const grpc::Slice& slice : slices)
    lines.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  // Never refused: WriteEof is not called.
  transport_->Writelines(lines).IgnoreError();
  if (!is_writing_paused_) Read();
}

void TunnelStream::ResumeWriting() {
  is_writing_paused_ = false;
  Read();
}

void TunnelStream::DataReceived(std::string_view data) {
  const grpc::Slice slice(data.data(), data.size());
  const grpc::ByteBuffer message(&slice, 1);
  bool waits = false;
  bool is_full = false;
  {
    MutexLock lock(mutex_);
    waits = std::exchange(is_writing_, true);
    if (waits) {
      waiting_.push_back(message);
      waiting_bytes_ += data.size();
      is_full = is_reading_paused_ = waiting_bytes_ >= kMaxWaitingBytes;
    }
  }
  if (!waits) Write(message);
  // A ResumeReading that is posted meanwhile comes after this.
  if (is_full) transport_->PauseReading();
}

void TunnelStream::Write(const grpc::ByteBuffer& message) {
  stream_->operations().Write(message, write_tag_.Arm(shared_from_this(), [this](bool ok) { HandleWritten(ok); }));
}

void TunnelStream::HandleWritten(bool ok) {
  grpc::ByteBuffer next;
  bool is_last = false;
  bool may_resume = false;
  {
    MutexLock lock(mutex_);
    // A broken stream drops what waits; the read fails too, and closes the connection.
    if (!ok) waiting_.clear();
    if (waiting_.empty()) {
      is_writing_ = false;
      waiting_bytes_ = 0;
      is_last = is_over_;
    } else {
      next.Swap(&waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= next.Length();
    }
    if (waiting_bytes_ < kMaxWaitingBytes) may_resume = std::exchange(is_reading_paused_, false);
  }
  if (may_resume) {
    loop_.CallSoonThreadsafe([self = shared_from_this()] {
      if (self->transport_ != nullptr) self->transport_->ResumeReading();
    });
  }
  if (next.Valid()) Write(next);
  if (is_last) Finish(grpc::Status::OK);
}

void TunnelStream::ConnectionLost(const ConnectionEnd& /*end*/) {
  transport_.reset();
  {
    MutexLock lock(mutex_);
    is_over_ = true;
    if (is_writing_) return;
  }
  Finish(grpc::Status::OK);
}

void TunnelStream::Finish(const grpc::Status& status) {
  stream_->operations().Finish(status, finish_tag_.Arm(shared_from_this(), nullptr));
}

}  // namespace transportd::bench
