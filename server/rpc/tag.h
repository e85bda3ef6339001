// What a completion queue gives back: the end of one operation.
#ifndef TRANSPORTD_SERVER_RPC_TAG_H_
#define TRANSPORTD_SERVER_RPC_TAG_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace transportd {

// Armed for one operation at a time; keeps the operation's owner alive until the operation has come back. The
// address must not change while it is armed. Threading: armed by the thread that begins the operation, completed by
// the thread of its completion queue.
class Tag final {
 public:
  using Completion = absl::AnyInvocable<void(bool ok)>;

  Tag() = default;
  Tag(const Tag&) = delete;
  Tag& operator=(const Tag&) = delete;

  // What to hand to gRPC. `completion` may be null.
  void* Arm(std::shared_ptr<void> owner, Completion completion) {
    owner_ = std::move(owner);
    completion_ = std::move(completion);
    return this;
  }

  // The operation will never come back: it never began.
  void Disarm() {
    completion_ = nullptr;
    owner_.reset();
  }

  // Once for each Arm. May be armed again, and may be destroyed, inside.
  void Complete(bool ok) {
    std::shared_ptr<void> owner = std::move(owner_);
    Completion completion = std::exchange(completion_, nullptr);
    if (completion) completion(ok);
  }

 private:
  std::shared_ptr<void> owner_;  // Shared with whatever else uses the owner meanwhile.
  Completion completion_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_TAG_H_
