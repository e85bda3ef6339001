#include "transports/loop/loop_thread.h"

#include <pthread.h>

#include <future>
#include <utility>

namespace transportd {

absl::StatusOr<std::unique_ptr<LoopThread>> LoopThread::Create(EpollEventLoop::Options options, const char* name) {
  absl::StatusOr<std::unique_ptr<EpollEventLoop>> loop = EpollEventLoop::Create(std::move(options));
  if (!loop.ok()) return loop.status();
  return std::unique_ptr<LoopThread>(new LoopThread(*std::move(loop), name));
}

LoopThread::LoopThread(std::unique_ptr<EpollEventLoop> loop, const char* name)
    : loop_(std::move(loop)), thread_([this, name] {
        pthread_setname_np(pthread_self(), name);
        loop_->RunForever();
      }) {}

void LoopThread::PostAndWait(absl::AnyInvocable<void()> callback) {
  std::promise<void> done;
  Post([&] {
    callback();
    done.set_value();
  });
  done.get_future().wait();
}

LoopThread::~LoopThread() {
  loop_->Stop();
  thread_.join();
}

}  // namespace transportd
