#include "server/rpc/server_call.h"

#include <utility>

#include "server/rpc/complete_on_queue.h"

namespace transportd {

void ServerCall::Request(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue& queue, LiveCalls& live_calls,
                         const CallIdentity& identity, absl::AnyInvocable<void(std::shared_ptr<ServerCall>)> arrived) {
  auto call = std::make_shared<ServerCall>(queue, live_calls, identity);
  // Must be asked for before the call begins. When no call comes, neither does this tag (grpc#10136).
  call->context_.AsyncNotifyWhenDone(call->done_tag_.Arm(call, [self = call.get()](bool) { self->HandleDone(); }));
  void* tag = call->arrival_tag_.Arm(call, [self = call.get(), arrived = std::move(arrived)](bool ok) mutable {
    if (!ok) self->done_tag_.Disarm();
    arrived(ok ? self->shared_from_this() : nullptr);
  });
  service.RequestCall(&call->context_, &call->stream_, &queue, &queue, tag);
}

ServerCall::ServerCall(grpc::ServerCompletionQueue& queue, LiveCalls& live_calls, const CallIdentity& identity)
    : queue_(queue), live_calls_(live_calls), identity_(identity) {
  live_calls_.Add();
}

ServerCall::~ServerCall() { live_calls_.Remove(); }

absl::StatusOr<Caller> ServerCall::Identify() const { return identity_.Identify(context_); }

void ServerCall::NoteIdentity() const { identity_.Note(context_); }

void ServerCall::Read(Completion completion) {
  stream_.Read(&message_, read_tag_.Arm(shared_from_this(), std::move(completion)));
}

void ServerCall::Write(const grpc::ByteBuffer& message, Completion completion) {
  stream_.Write(message, write_tag_.Arm(shared_from_this(), std::move(completion)));
}

std::optional<bool> ServerCall::WriteNow(const grpc::ByteBuffer& message, Completion completion) {
  void* const tag = write_tag_.Arm(shared_from_this(), std::move(completion));
  const auto completed = BeginAndTakeCompletion(queue_, [&] { stream_.Write(message, tag); });
  if (!completed.has_value()) return std::nullopt;
  if (completed->tag == tag) {
    write_tag_.Disarm();
    return completed->ok;
  }
  CompleteOnQueue(queue_, *completed);
  return std::nullopt;
}

void ServerCall::WriteAndFinish(const grpc::ByteBuffer& message, const grpc::Status& status) {
  stream_.WriteAndFinish(message, grpc::WriteOptions(), status, finish_tag_.Arm(shared_from_this(), nullptr));
}

void ServerCall::Finish(const grpc::Status& status) {
  stream_.Finish(status, finish_tag_.Arm(shared_from_this(), nullptr));
}

void ServerCall::OnOver(absl::AnyInvocable<void(bool cancelled)> over) {
  if (over_) {
    over(cancelled_);
  } else {
    on_over_ = std::move(over);
  }
}

void ServerCall::CancelIn(std::chrono::milliseconds delay) {
  // lint: allow date: a deadline of gRPC's, which it takes in wall-clock time.
  cancel_alarm_.Set(&queue_, std::chrono::system_clock::now() + delay,
                    alarm_tag_.Arm(shared_from_this(), [this](bool fired) {
                      if (fired) context_.TryCancel();
                    }));
}

void ServerCall::HandleDone() {
  over_ = true;
  cancelled_ = context_.IsCancelled();
  if (auto over = std::exchange(on_over_, nullptr)) over(cancelled_);
}

}  // namespace transportd
