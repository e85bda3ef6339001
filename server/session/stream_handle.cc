#include "server/session/stream_handle.h"

#include <algorithm>
#include <utility>

#include "server/session/session.h"

namespace transportd {

namespace {

// The most that one read takes: more adds latency for the session's other transports and no throughput.
constexpr size_t kReadBytes = 64 * 1024;

}  // namespace

StreamHandle::StreamHandle(std::shared_ptr<Session> session, Origin origin)
    : session_(std::move(session)),
      origin_(std::move(origin)),
      window_(session_->limits().receive_window_bytes, session_->limits().callback_charge_bytes),
      open_time_(std::chrono::system_clock::now()) {}

StreamHandle::~StreamHandle() = default;

void StreamHandle::ConnectionMade(std::shared_ptr<Transport> transport) {
  transport_ = std::move(transport);
  id_ = session_->Adopt(*this);
  if (id_ == 0) {
    transport_->Abort(/*reset=*/true);
    return;
  }
  v1::Callback callback;
  callback.set_transport_id(id_);
  v1::ConnectionMade& made = *callback.mutable_connection_made();
  made.set_request_id(origin_.request_id);
  made.set_server_id(origin_.server_id);
  ToProto(transport_->GetExtraInfo(), *made.mutable_extra_info());
  session_->Emit(callback);
  UpdateReading();
}

void StreamHandle::ConnectionLost(const ConnectionEnd& end) {
  const std::shared_ptr<Session> session = std::move(session_);
  if (!announced()) return;
  session_ = session;
  const uint64_t weight_bytes = window_.WeightBytes();
  AccountWriteBuffer(0);
  session_->AddUnacknowledged(-static_cast<int64_t>(weight_bytes));
  session_->EmitConnectionLost(id_, end);
  AnswerDrained();
  session_->Remove(*this);  // The transport's own hold lasts until this returns.
  session_ = nullptr;
}

void StreamHandle::PauseWriting() {
  if (!announced()) return;
  v1::Callback callback;
  callback.set_transport_id(id_);
  callback.mutable_pause_writing();
  session_->Emit(callback);
}

void StreamHandle::ResumeWriting() {
  if (!announced()) return;
  v1::Callback callback;
  callback.set_transport_id(id_);
  callback.mutable_resume_writing();
  session_->Emit(callback);
}

void StreamHandle::BytesSent(uint64_t sent_bytes) {
  sent_bytes_ = sent_bytes;
  MarkUnsettled();
}

std::span<char> StreamHandle::GetBuffer(size_t /*size_hint_bytes*/) {
  // Reading is paused while the room is not worth a read, so that it is never empty here.
  return session_->outbox().BeginDataReceived(id_, std::min<uint64_t>(kReadBytes, window_.RoomBytes()));
}

void StreamHandle::BufferUpdated(size_t size_bytes) {
  const uint64_t weight_bytes = window_.WeightBytes();
  session_->outbox().EndDataReceived(id_, size_bytes);
  window_.Sent(size_bytes);
  AccountWindow(weight_bytes);
  session_->ScheduleFlush();
}

bool StreamHandle::EofReceived() {
  if (!announced()) return false;
  v1::Callback callback;
  callback.set_transport_id(id_);
  callback.mutable_eof_received();
  session_->Emit(callback);
  return !origin_.close_on_eof;
}

void StreamHandle::SetPausedByClient(bool paused) {
  paused_by_client_ = paused;
  UpdateReading();
}

void StreamHandle::UpdateReading() {
  const bool reading = !paused_by_client_ && !window_.Spent() && session_->MayReceive();
  if (reading == reading_) return;
  reading_ = reading;
  if (reading) {
    transport_->ResumeReading();
  } else {
    transport_->PauseReading();
  }
}

bool StreamHandle::Acknowledge(uint64_t data_bytes, uint64_t data_count) {
  const uint64_t weight_bytes = window_.WeightBytes();
  if (!window_.Acknowledge(data_bytes, data_count)) return false;
  AccountWindow(weight_bytes);
  return true;
}

void StreamHandle::Delivered(uint64_t data_bytes, uint64_t data_count) {
  const uint64_t weight_bytes = window_.WeightBytes();
  window_.Delivered(data_bytes, data_count);
  AccountWindow(weight_bytes);
}

void StreamHandle::AccountWindow(uint64_t weight_before_bytes) {
  session_->AddUnacknowledged(static_cast<int64_t>(window_.WeightBytes()) - static_cast<int64_t>(weight_before_bytes));
  UpdateReading();
}

absl::Status StreamHandle::Write(std::string_view data) {
  const absl::Status status = transport_->Write(data);
  MarkUnsettled();
  AccountWriteBuffer(transport_->GetWriteBufferSize());
  return status;
}

void StreamHandle::AnswerWhenDrained(std::shared_ptr<Call> call, v1::Reply reply) {
  const uint64_t number = call->number();
  call->SetCancel([this, number] {
    // The bytes stay accepted; only the waiting ends.
    auto draining = draining_.extract(number);
    draining.mapped().call->Fail(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the wait was cancelled"));
  });
  draining_.emplace(number, Draining{std::move(call), std::move(reply)});
  MarkUnsettled();
}

void StreamHandle::MarkUnsettled() {
  if (unsettled_ || !announced()) return;
  unsettled_ = true;
  session_->AddUnsettled(id_);
}

void StreamHandle::SettleWrites() {
  unsettled_ = false;
  if (sent_bytes_ != reported_bytes_ && !progress_due_) {
    progress_due_ = true;
    session_->AddProgressDue(id_);
  }
  AccountWriteBuffer(transport_->GetWriteBufferSize());
  if (write_buffer_bytes_ <= transport_->GetWriteBufferLimits().high_bytes) AnswerDrained();
}

void StreamHandle::EmitProgress() {
  progress_due_ = false;
  reported_bytes_ = sent_bytes_;
  session_->outbox().AppendWriteProgress(id_, sent_bytes_);
}

void StreamHandle::AnswerDrained() {
  for (auto& [number, draining] : std::exchange(draining_, {})) {
    if (draining.reply.has_writelines()) {
      draining.reply.mutable_writelines()->set_write_buffer_size_bytes(write_buffer_bytes_);
    } else {
      draining.reply.mutable_write_and_drain()->set_write_buffer_size_bytes(write_buffer_bytes_);
    }
    draining.call->Answer(std::move(draining.reply));
  }
}

void StreamHandle::AccountWriteBuffer(uint64_t write_buffer_bytes) {
  session_->AddWriteBuffer(static_cast<int64_t>(write_buffer_bytes) - static_cast<int64_t>(write_buffer_bytes_));
  write_buffer_bytes_ = write_buffer_bytes;
  const bool over = write_buffer_bytes > session_->limits().send_window_bytes;
  if (over != over_send_window_) session_->AddOverSendWindow(over ? 1 : -1);
  over_send_window_ = over;
}

}  // namespace transportd
