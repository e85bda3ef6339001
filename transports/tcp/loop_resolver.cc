#include "transports/tcp/loop_resolver.h"

#include <utility>

namespace transportd {

LoopResolver::LoopResolver(Reactor& reactor, Resolver& resolver)
    : reactor_(reactor), resolver_(resolver), door_(std::make_shared<Door>()) {
  const MutexLock lock(door_->mutex);
  door_->owner = this;
}

LoopResolver::~LoopResolver() {
  const MutexLock lock(door_->mutex);
  door_->owner = nullptr;
}

LoopResolver::RequestId LoopResolver::Resolve(ResolveRequest request, Done done) {
  reactor_.AssertInLoopThread();
  const RequestId id = next_id_++;
  waiting_.emplace(id, std::move(done));
  resolver_.Resolve(std::move(request), [door = door_, id](auto addresses) { Answer(door, id, std::move(addresses)); });
  return id;
}

void LoopResolver::Cancel(RequestId id) {
  reactor_.AssertInLoopThread();
  const auto it = waiting_.find(id);
  if (it == waiting_.end()) return;
  const Done done = std::move(it->second);
  waiting_.erase(it);
}

void LoopResolver::Answer(const std::shared_ptr<Door>& door, RequestId id,
                          absl::StatusOr<std::vector<SocketAddress>> addresses) {
  // The lock keeps the reactor alive during the call, which itself calls nobody.
  const MutexLock lock(door->mutex);
  if (door->owner == nullptr) return;
  door->owner->reactor_.CallSoonThreadsafe([door, id, found = std::move(addresses)]() mutable {
    LoopResolver* owner = nullptr;
    {
      const MutexLock owner_lock(door->mutex);
      owner = door->owner;
    }
    if (owner != nullptr) owner->OnAnswer(id, std::move(found));
  });
}

void LoopResolver::OnAnswer(RequestId id, absl::StatusOr<std::vector<SocketAddress>> addresses) {
  const auto it = waiting_.find(id);
  if (it == waiting_.end()) return;
  Done done = std::move(it->second);
  waiting_.erase(it);
  done(std::move(addresses));
}

}  // namespace transportd
