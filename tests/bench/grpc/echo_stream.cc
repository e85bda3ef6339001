#include "tests/bench/grpc/echo_stream.h"

#include <utility>

namespace transportd::bench {

void EchoStream::Serve(std::unique_ptr<IncomingStream> stream) {
  std::make_shared<EchoStream>(std::move(stream))->Read();
}

void EchoStream::Read() {
  is_reading_ = true;
  stream_->operations().Read(&received_, read_tag_.Arm(shared_from_this(), [this](bool ok) { HandleRead(ok); }));
}

void EchoStream::HandleRead(bool ok) {
  is_reading_ = false;
  if (!ok) {
    has_ended_ = true;
    if (!is_writing_) Finish();
    return;
  }
  if (is_writing_) {
    waiting_.emplace_back().Swap(&received_);
  } else {
    Write(received_);
  }
  if (waiting_.size() < kMaxWaitingCount) Read();
}

void EchoStream::Write(const grpc::ByteBuffer& message) {
  is_writing_ = true;
  stream_->operations().Write(message, write_tag_.Arm(shared_from_this(), [this](bool ok) { HandleWritten(ok); }));
}

void EchoStream::HandleWritten(bool ok) {
  is_writing_ = false;
  if (!ok) waiting_.clear();  // The stream is broken; the read will say so, too.
  if (!waiting_.empty()) {
    Write(waiting_.front());
    waiting_.pop_front();
  } else if (has_ended_) {
    return Finish();
  }
  if (!is_reading_ && !has_ended_) Read();
}

void EchoStream::Finish() {
  stream_->operations().Finish(grpc::Status::OK, finish_tag_.Arm(shared_from_this(), nullptr));
}

}  // namespace transportd::bench
