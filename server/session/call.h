// One command under way: from either door, to its one Reply.
#ifndef TRANSPORTD_SERVER_SESSION_CALL_H_
#define TRANSPORTD_SERVER_SESSION_CALL_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/policy/request_check.h"
#include "server/policy/session_guard.h"
#include "server/session/convert.h"
#include "server/session/error_field.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {

// Held by the session while it is unanswered, and by whatever will answer it. Threading: loop thread only.
class Call final {
 public:
  // `answer` is called exactly once, with the request id filled in.
  Call(uint64_t number, uint32_t request_id, absl::AnyInvocable<void(Call&, v1::Reply)> answer)
      : number_(number), request_id_(request_id), answer_(std::move(answer)) {}

  uint64_t number() const { return number_; }
  uint32_t request_id() const { return request_id_; }
  bool answered() const { return answer_ == nullptr; }
  // What was asked, for errors to name its fields; null: nothing that has fields.
  void set_request_type(const google::protobuf::Descriptor* type) { request_type_ = type; }

  // The variant of v1::Command that it carries out, by its number; 0: counted elsewhere.
  size_t command_number() const { return command_number_; }
  void set_command_number(size_t number) { command_number_ = number; }

  // Of the operation that it has begun, which the policy may end; null: of none, or nobody is asked.
  const std::shared_ptr<OperationGate>& gate() const { return gate_; }
  void SetGate(std::shared_ptr<OperationGate> gate) { gate_ = std::move(gate); }

  // What its request asks for by itself, and was granted; empty where nobody is asked.
  const std::vector<Need>& needs() const { return needs_; }
  void SetNeeds(std::vector<Need> needs) { needs_ = std::move(needs); }

  // Only the first answer counts: a cancelled operation may still say that it was cancelled.
  void Answer(v1::Reply reply) {
    if (answered()) return;
    reply.set_request_id(request_id_);
    cancel_ = nullptr;
    auto answer = std::exchange(answer_, nullptr);
    answer(*this, std::move(reply));
  }

  void Fail(const absl::Status& status) {
    v1::Reply reply;
    *reply.mutable_error() = ErrorProto(status);
    if (request_type_ != nullptr) {
      reply.mutable_error()->set_field(RequestField(*request_type_, reply.error().field()));
    }
    Answer(std::move(reply));
  }

  // How to stop what will answer; it, or the canceller itself, must then answer.
  void SetCancel(absl::AnyInvocable<void()> cancel) { cancel_ = std::move(cancel); }

  // Stops it: it answers CANCELLED / CANCELLED now or later. Nothing when it is answered.
  void Cancel() {
    if (answered()) return;
    if (auto cancel = std::exchange(cancel_, nullptr)) {
      cancel();
    } else {
      Fail(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the command was cancelled"));
    }
  }

  // Stops it: the policy does not allow it any more. Nothing when it is answered.
  void Revoke() {
    if (answered()) return;
    if (gate_ != nullptr) gate_->Closed({.cause = "POLICY_REVOKED"});
    auto cancel = std::exchange(cancel_, nullptr);
    Fail(MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "the policy does not allow this any more"));
    if (cancel != nullptr) cancel();
  }

 private:
  const uint64_t number_;
  const uint32_t request_id_;
  absl::AnyInvocable<void(Call&, v1::Reply)> answer_;
  absl::AnyInvocable<void()> cancel_;
  std::shared_ptr<OperationGate> gate_;
  std::vector<Need> needs_;
  const google::protobuf::Descriptor* request_type_ = nullptr;
  size_t command_number_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_CALL_H_
