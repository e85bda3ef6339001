#include "server/listen/accept_thread.h"

namespace transportd {

absl::StatusOr<std::shared_ptr<AcceptThread>> AcceptThread::Create(ConnectionGuard* guard,
                                                                   std::chrono::nanoseconds authentication_timeout) {
  absl::StatusOr<std::unique_ptr<LoopThread>> thread = LoopThread::Create({}, "accept");
  if (!thread.ok()) return thread.status();
  std::shared_ptr<AcceptThread> accept(new AcceptThread(*std::move(thread)));
  if (guard != nullptr) {
    accept->unauthenticated_ =
        std::make_unique<UnauthenticatedConnections>(accept->thread_->loop().reactor(), *guard, authentication_timeout);
  }
  return accept;
}

AcceptThread::~AcceptThread() { Close(); }

void AcceptThread::Close() {
  if (unauthenticated_ != nullptr) thread_->PostAndWait([this] { unauthenticated_->Close(); });
}

}  // namespace transportd
