#include "server/listen/accept_thread.h"

namespace transportd {

absl::StatusOr<std::shared_ptr<AcceptThread>> AcceptThread::Create(ConnectionGuard* guard,
                                                                   std::chrono::nanoseconds authentication_timeout) {
  absl::StatusOr<std::unique_ptr<LoopThread>> thread = LoopThread::Create({}, "accept");
  if (!thread.ok()) return thread.status();
  std::shared_ptr<AcceptThread> created(new AcceptThread(*std::move(thread)));
  if (guard != nullptr) {
    created->unauthenticated_ = std::make_unique<UnauthenticatedConnections>(created->thread_->loop().reactor(), *guard,
                                                                             authentication_timeout);
  }
  return created;
}

AcceptThread::~AcceptThread() { Close(); }

void AcceptThread::Close() {
  if (unauthenticated_ != nullptr) thread_->PostAndWait([this] { unauthenticated_->Close(); });
}

}  // namespace transportd
