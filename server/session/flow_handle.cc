#include "server/session/flow_handle.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/session/session.h"

namespace transportd {

namespace {

// Over a shorter way a window is as good as one that is larger.
constexpr Duration kLongWay = std::chrono::milliseconds(2);

}  // namespace

FlowHandle::FlowHandle(Kind kind, std::shared_ptr<Session> session, uint32_t server_id)
    : Handle(kind, server_id),
      session_(std::move(session)),
      window_(session_->limits().receive_window_bytes, session_->limits().callback_charge_bytes) {}

FlowHandle::~FlowHandle() = default;

absl::Status FlowHandle::SetPausedByClient(bool paused) {
  paused_by_client_ = paused;
  UpdateReading();
  return absl::OkStatus();
}

void FlowHandle::UpdateReading() {
  const bool is_spent = window_.Spent();
  if (paused_by_client_) {
    spent_.reset();  // Its client acknowledges what it only holds.
  } else if (is_spent && !spent_.has_value()) {
    spent_ = {.sequence = session_->outbox().last_sequence(),
              .sent_bytes = window_.sent_bytes(),
              .time = session_->loop().Time()};
    session_->stats().window_pause_count.Add();
  }
  bool reading = !paused_by_client_ && !is_spent;
  if (reading && !SessionMayReceive()) {
    reading = false;
    if (!std::exchange(waits_to_receive_, true)) {
      session_->AddWaitingToReceive(id());
      session_->stats().session_pause_count.Add();
    }
  }
  if (reading == reading_) return;
  reading_ = reading;
  if (reading) {
    ResumeTransport();
  } else {
    PauseTransport();
  }
}

v1::ReadingPause FlowHandle::WhyPaused() const {
  if (reading_) return v1::READING_PAUSE_UNSPECIFIED;
  if (paused_by_client_) return v1::READING_PAUSE_CLIENT;
  return window_.Spent() ? v1::READING_PAUSE_WINDOW : v1::READING_PAUSE_SESSION;
}

bool FlowHandle::SessionMayReceive() const { return session_->MayReceive(IsQuiet()); }

bool FlowHandle::ResumeReceiving() {
  waits_to_receive_ = false;
  UpdateReading();
  return reading_;
}

bool FlowHandle::Acknowledge(uint64_t data_bytes, uint64_t data_count) {
  const uint64_t weight_bytes = window_.WeightBytes();
  if (!window_.Acknowledge(data_bytes, data_count)) return false;
  if (spent_.has_value()) GrowWindow();
  AccountWindow(weight_bytes);
  return true;
}

// All that filled the window has reached the client, and it has consumed it, but for the quarter that it need not have
// told: so not the client is slow, but the way to it is long, and the window too small for it.
void FlowHandle::GrowWindow() {
  if (session_->acknowledged_sequence() < spent_->sequence) return;
  const Spent spent = *std::exchange(spent_, std::nullopt);
  const uint64_t unconsumed_bytes = spent.sent_bytes - std::min(spent.sent_bytes, window_.acknowledged_bytes());
  const SessionLimits& limits = session_->limits();
  if (unconsumed_bytes > limits.receive_window_bytes / 4 || session_->loop().Time() - spent.time < kLongWay) return;
  window_.Grow(
      std::min({2 * window_.limit_bytes(), limits.max_receive_window_bytes, limits.session_receive_window_bytes / 4}));
}

void FlowHandle::Delivered(uint64_t data_bytes, uint64_t data_count) {
  const uint64_t weight_bytes = window_.WeightBytes();
  window_.Delivered(data_bytes, data_count);
  AccountWindow(weight_bytes);
}

void FlowHandle::DataSent(uint64_t data_bytes) {
  const uint64_t weight_bytes = window_.WeightBytes();
  window_.Sent(data_bytes);
  session_->stats().received_bytes[static_cast<size_t>(kind())].Add(data_bytes);
  AccountWindow(weight_bytes);
  session_->ScheduleFlush();
}

void FlowHandle::AccountWindow(uint64_t weight_before_bytes) {
  session_->AddUnacknowledged(static_cast<int64_t>(window_.WeightBytes()) - static_cast<int64_t>(weight_before_bytes));
  UpdateReading();
}

void FlowHandle::Wrote() {
  MarkUnsettled();
  AccountWriteBuffer(TransportBufferBytes());
}

void FlowHandle::SetSentBytes(uint64_t sent_bytes) {
  if (announced()) session_->AddUnreported(sent_bytes - sent_bytes_);
  sent_bytes_ = sent_bytes;
  MarkUnsettled();
}

void FlowHandle::CountSent(uint64_t sent_bytes) {
  if (!announced()) return;
  session_->stats().sent_bytes[static_cast<size_t>(kind())].Add(sent_bytes - std::exchange(counted_bytes_, sent_bytes));
}

void FlowHandle::AnswerWhenDrained(std::shared_ptr<Call> call, v1::Reply reply) {
  const uint64_t number = call->number();
  call->SetCancel([this, number] {
    // The bytes stay accepted; only the waiting ends.
    auto draining = draining_.extract(number);
    draining.mapped().call->Fail(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the wait was cancelled"));
  });
  draining_.emplace(number, Draining{std::move(call), std::move(reply)});
  MarkUnsettled();
}

void FlowHandle::MarkUnsettled() {
  if (unsettled_ || !announced()) return;
  unsettled_ = true;
  session_->AddUnsettled(id());
}

void FlowHandle::SettleWrites() {
  unsettled_ = false;
  if (sent_bytes_ != reported_bytes_ && !progress_due_) {
    progress_due_ = true;
    session_->AddProgressDue(id());
  }
  AccountWriteBuffer(TransportBufferBytes());
  if (write_buffer_bytes_ <= TransportHighBytes()) AnswerDrained();
}

void FlowHandle::EmitProgress() {
  progress_due_ = false;
  reported_bytes_ = sent_bytes_;
  session_->outbox().AppendWriteProgress(id(), sent_bytes_);
}

void FlowHandle::AnswerDrained() {
  for (auto& [number, draining] : std::exchange(draining_, {})) {
    if (draining.reply.has_sendto_and_drain()) {
      draining.reply.mutable_sendto_and_drain()->set_write_buffer_size_bytes(write_buffer_bytes_);
    } else if (draining.reply.has_writelines()) {
      draining.reply.mutable_writelines()->set_write_buffer_size_bytes(write_buffer_bytes_);
    } else {
      draining.reply.mutable_write_and_drain()->set_write_buffer_size_bytes(write_buffer_bytes_);
    }
    draining.call->Answer(std::move(draining.reply));
  }
}

void FlowHandle::AccountWriteBuffer(uint64_t write_buffer_bytes) {
  session_->AddWriteBuffer(static_cast<int64_t>(write_buffer_bytes) - static_cast<int64_t>(write_buffer_bytes_));
  write_buffer_bytes_ = write_buffer_bytes;
  const bool over = write_buffer_bytes > session_->limits().send_window_bytes;
  if (over != over_send_window_) session_->AddOverSendWindow(over ? 1 : -1);
  over_send_window_ = over;
}

void FlowHandle::Leave(absl::AnyInvocable<void(Session&)> emit) {
  if (id() != 0) {
    const uint64_t weight_bytes = window_.WeightBytes();
    AccountWriteBuffer(0);
    session_->AddUnacknowledged(-static_cast<int64_t>(weight_bytes));
    emit(*session_);
    AnswerDrained();
  }
  const std::shared_ptr<Session> session = std::move(session_);
  if (id() != 0) session->Remove(*this);  // The transport's own hold lasts until the protocol's call returns.
}

}  // namespace transportd
