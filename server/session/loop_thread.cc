#include "server/session/loop_thread.h"

#include <pthread.h>

#include <utility>

namespace transportd {

absl::StatusOr<std::unique_ptr<LoopThread>> LoopThread::Create(EpollEventLoop::Options options) {
  absl::StatusOr<std::unique_ptr<EpollEventLoop>> loop = EpollEventLoop::Create(std::move(options));
  if (!loop.ok()) return loop.status();
  return std::unique_ptr<LoopThread>(new LoopThread(*std::move(loop)));
}

LoopThread::LoopThread(std::unique_ptr<EpollEventLoop> loop)
    : loop_(std::move(loop)), thread_([this] {
        pthread_setname_np(pthread_self(), "event-loop");
        loop_->RunForever();
      }) {}

LoopThread::~LoopThread() {
  loop_->Stop();
  thread_.join();
}

}  // namespace transportd
