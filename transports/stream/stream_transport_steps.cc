// The times in a transport's life when its socket works for itself: the handshake, the change to a layer, the leave.
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/stream/prefixed_socket.h"
#include "transports/stream/stream_transport.h"

namespace transportd {

void StreamTransport::ContinueStep() {
  if (state_ == State::kShuttingDown) {
    ContinueShutdown();
  } else {
    ContinueHandshake();
  }
}

void StreamTransport::WaitForStep(const IoResult& result) {
  step_wait_ = result.wait;
  socket_has_more_ = result.more;
  if (step_timer_ == 0) {
    const bool leaves = state_ == State::kShuttingDown;
    step_timer_ = context_->reactor().CallLater(leaves ? traits_.shutdown_timeout : *traits_.handshake_timeout, [this] {
      step_timer_ = 0;
      OnStepTimeout();
    });
  }
  UpdateWatch();
}

void StreamTransport::EndStep() {
  step_wait_ = IoResult::Wait::kOwn;
  socket_has_more_ = false;
  if (step_timer_ != 0) context_->reactor().CancelTimer(std::exchange(step_timer_, 0));
}

void StreamTransport::OnStepTimeout() {
  TransportError error;
  error.code = absl::StatusCode::kDeadlineExceeded;
  if (extra_info_.peername) error.address = extra_info_.peername->ToString();
  if (state_ == State::kShuttingDown) {
    error.reason = "SHUTDOWN_TIMEOUT";
    error.message = "the peer did not answer close_notify in time";
    error.operation = "shutdown";
  } else {
    error.reason = "HANDSHAKE_TIMEOUT";
    error.message = "the handshake took longer than allowed";
    error.operation = "handshake";
  }
  Fail(EndCause::kTimedOut, ToStatus(error));
}

void StreamTransport::ContinueHandshake() {
  IoResult result = socket_->DoHandshake();
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      WaitForStep(result);
      return;
    case IoResult::Kind::kFailed:
      Fail(result.cause, std::move(result.status));
      return;
    case IoResult::Kind::kBytes:
    case IoResult::Kind::kEof:
      OnHandshakeDone();
      return;
    case IoResult::Kind::kFileFailed:
      CHECK(false);
  }
}

void StreamTransport::OnHandshakeDone() {
  EndStep();
  socket_->AddExtraInfo(extra_info_);
  // The first data may have come with the handshake's end.
  socket_has_more_ = true;
  if (layer_state_ == LayerState::kNone) {
    SetState(State::kOpening);
    BecomeOpen();
    return;
  }
  layer_state_ = LayerState::kNone;
  auto done = std::exchange(layer_done_, nullptr);
  UpdateWatch();
  if (watermarks_.SetMarks(traits_.write_buffer_marks, write_buffer_.size())) protocol_->PauseWriting();
  done(absl::OkStatus());
}

absl::Status StreamTransport::BeginLayer(absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  if (IsClosing() || received_eof_ || write_eof_ != WriteEofState::kNone || layer_state_ != LayerState::kNone ||
      file_sender_ != nullptr || !traits_.can_read || !traits_.can_write) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "START_TLS_IMPOSSIBLE",
                     "the transport is not open both ways, or a file is being sent, or TLS is being started already");
  }
  layer_state_ = LayerState::kFlushing;
  layer_done_ = std::move(done);
  plain_left_bytes_ = write_buffer_.size();
  UpdateWatch();
  return absl::OkStatus();
}

void StreamTransport::SetLayer(std::shared_ptr<const StreamLayer> layer, std::string incoming) {
  AssertInLoopThread();
  if (layer_state_ != LayerState::kFlushing) return;
  layer_ = std::move(layer);
  layer_incoming_ = std::move(incoming);
  StartLayerIfReady();
}

void StreamTransport::CancelLayer() {
  AssertInLoopThread();
  if (layer_state_ != LayerState::kFlushing) return;
  layer_state_ = LayerState::kNone;
  layer_done_ = nullptr;
  UpdateWatch();
}

void StreamTransport::StartLayerIfReady() {
  UpdateWatch();
  if (layer_ == nullptr || plain_left_bytes_ > 0) return;
  if (!layer_incoming_.empty()) {
    socket_ = std::make_unique<PrefixedSocket>(std::exchange(layer_incoming_, {}), std::move(socket_));
  }
  socket_ = std::exchange(layer_, nullptr)->Wrap(std::move(socket_), extra_info_);
  traits_ = socket_->Traits();
  CHECK(traits_.handshake_timeout.has_value());
  layer_state_ = LayerState::kHandshaking;
  read_waits_writable_ = write_waits_readable_ = socket_has_more_ = false;
  UpdateWatch();
  // Not at once: this may run inside the program's own call. The registry holds the transport as in Start.
  context_->reactor().CallSoon([this] {
    if (layer_state_ == LayerState::kHandshaking) ContinueHandshake();
  });
}

void StreamTransport::BeginShutdown() {
  EndStep();
  SetState(State::kShuttingDown);
  ContinueShutdown();
}

void StreamTransport::ContinueShutdown() {
  IoResult result = socket_->DoShutdown();
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      WaitForStep(result);
      return;
    case IoResult::Kind::kFailed:
      Fail(result.cause, std::move(result.status));
      return;
    case IoResult::Kind::kBytes:
      Finish(close_cause_, absl::OkStatus());
      return;
    case IoResult::Kind::kEof:
      break;
    case IoResult::Kind::kFileFailed:
      CHECK(false);
  }
  const bool is_news = !std::exchange(received_eof_, true);
  Finish(close_cause_, absl::OkStatus());
  if (!is_news) return;
  if (buffered_protocol_ != nullptr) {
    buffered_protocol_->EofReceived();
  } else {
    plain_protocol_->EofReceived();
  }
}

}  // namespace transportd
