#include "clients/cpp/remote_flow.h"

#include <utility>

namespace transportd {

RemoteSession* RemoteFlow::LeaveSession() { return std::exchange(session_, nullptr); }

void RemoteFlow::AssertInLoopThread() const {
  if (session_ != nullptr) session_->reactor().AssertInLoopThread();
}

// The window alone would stop the service. But what is held back here would then also weigh on the session's window,
// and enough paused transports would stall all others: so the service is told, and what is held here is acknowledged as
// soon as it is certain that no more follows. It is at most what was on its way then: a window's worth.
void RemoteFlow::SyncReadingSoon() {
  if (sync_is_due_ || !IsReceiving() || WantsPaused() == told_paused_) return;
  sync_is_due_ = true;
  session_->reactor().AtTurnEnd([self = shared_from_this()] {
    self->sync_is_due_ = false;
    self->SyncReading();
  });
}

void RemoteFlow::SyncReading() {
  if (!IsReceiving() || WantsPaused() == told_paused_) return;
  told_paused_ = !told_paused_;
  v1::Command command;
  if (!told_paused_) {
    command.mutable_resume_reading()->set_transport_id(id_);
    session_->Send(command);
    return;
  }
  command.mutable_pause_reading()->set_transport_id(id_);
  session_->Request(std::move(command), [weak = weak_from_this()](const absl::StatusOr<v1::Reply>& reply) {
    const std::shared_ptr<RemoteFlow> self = weak.lock();
    if (self != nullptr && reply.ok()) self->OnPauseConfirmed();
  });
}

void RemoteFlow::OnPauseConfirmed() {
  if (session_ != nullptr && IsReceiving() && told_paused_) AcknowledgeHeld();
}

void RemoteFlow::AddConsumed(uint64_t size_bytes, uint64_t count) {
  const RemoteLimits& limits = session_->limits();
  const uint64_t weight_bytes = size_bytes + count * limits.callback_charge_bytes;
  consumed_.data_bytes += size_bytes;
  consumed_.data_count += count;
  unacknowledged_weight_bytes_ += weight_bytes;
  session_->AcknowledgeLater(id_, weight_bytes, unacknowledged_weight_bytes_ >= limits.receive_window_bytes / 4);
}

Consumed RemoteFlow::TakeConsumed() {
  unacknowledged_weight_bytes_ = 0;
  return consumed_;
}

void RemoteFlow::WaitForCredit() {
  if (std::exchange(waits_for_credit_, true)) return;
  session_->WaitForCredit(id_);
}

void RemoteFlow::OnCredit() {
  waits_for_credit_ = false;
  Pump();
}

}  // namespace transportd
