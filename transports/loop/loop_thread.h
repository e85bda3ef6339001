// One event loop on a thread of its own.
#ifndef TRANSPORTD_TRANSPORTS_LOOP_LOOP_THREAD_H_
#define TRANSPORTD_TRANSPORTS_LOOP_LOOP_THREAD_H_

#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd {

// Threading: `loop` is the thread's; Create and the destructor are the owner's; Post is any thread's.
class LoopThread final {
 public:
  // As EpollEventLoop::Create. `name`: the thread's, at most 15 bytes.
  static absl::StatusOr<std::unique_ptr<LoopThread>> Create(EpollEventLoop::Options options,
                                                            const char* name = "event-loop");
  // Stops the loop, and waits for the end of its turn.
  ~LoopThread();

  EpollEventLoop& loop() { return *loop_; }
  void Post(absl::AnyInvocable<void()> callback) { loop_->CallSoonThreadsafe(std::move(callback)); }
  // Returns when it has run. Not from the loop's own thread.
  void PostAndWait(absl::AnyInvocable<void()> callback);

 private:
  LoopThread(std::unique_ptr<EpollEventLoop> loop, const char* name);

  std::unique_ptr<EpollEventLoop> loop_;
  std::thread thread_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_LOOP_LOOP_THREAD_H_
