// An operation that comes to a value and leaves nothing else behind.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_RESULT_OPERATION_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_RESULT_OPERATION_H_

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/error.h"
#include "transports/base/operation.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
template <typename T>
class ResultOperation final : public Operation, public std::enable_shared_from_this<ResultOperation<T>> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;
  // Begins what comes to the value, and returns how to call it off, null when there is nothing to call off. `settle` is
  // called once, on the loop's thread, perhaps at once; called late, or never, it does no harm.
  using Begin = absl::AnyInvocable<absl::AnyInvocable<void()>(Done settle)>;

  // `reactor` must outlive this.
  ResultOperation(Reactor& reactor, Begin begin, Done done)
      : reactor_(reactor), begin_(std::move(begin)), done_(std::move(done)) {}
  ~ResultOperation() override { CallOff(); }

  void Start() override {
    call_off_ = begin_([weak = this->weak_from_this()](absl::StatusOr<T> result) {
      if (const auto self = weak.lock()) self->Settle(std::move(result));
    });
  }
  void Cancel() override {
    if (!done_) return;
    CallOff();
    Settle(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"));
  }

 private:
  void Settle(absl::StatusOr<T> result) {
    const bool is_queued = result_.has_value();
    result_ = std::move(result);
    if (is_queued) return;
    reactor_.CallSoon([weak = this->weak_from_this()] {
      const auto self = weak.lock();
      if (self != nullptr) std::exchange(self->done_, nullptr)(*std::move(self->result_));
    });
  }
  void CallOff() {
    if (auto call_off = std::exchange(call_off_, nullptr)) call_off();
  }

  Reactor& reactor_;
  Begin begin_;
  Done done_;
  absl::AnyInvocable<void()> call_off_;
  // Set at the end; `done_` is then queued.
  std::optional<absl::StatusOr<T>> result_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_RESULT_OPERATION_H_
