// epoll with ids instead of descriptors.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_FD_POLLER_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_FD_POLLER_H_

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/base/slot_map.h"
#include "transports/base/unique_fd.h"

namespace transportd {

class FdHandler;

// Which descriptors are watched, for what, and for whom. What epoll hands back is a watch's id, so an event of a
// watch that has ended, or of the descriptor that had its number before, finds nothing and is dropped.
// Threading: loop thread only, but for what Wait says.
class FdPoller final {
 public:
  // `wake_fd`, which must outlive this, ends a Wait when it becomes readable (edge-triggered); no handler is called.
  static absl::StatusOr<FdPoller> Create(int wake_fd);

  FdPoller(FdPoller&&) = default;

  uint64_t Add(int fd, FdHandler& handler);
  void Set(uint64_t watch, bool readable, bool writable);
  void Remove(uint64_t watch);
  size_t watch_count() const { return watches_.size(); }
  int epoll_fd() const { return epoll_fd_.get(); }

  // How long Wait may sleep, of `timeout` (unset: for ever): less when a watch waits for the kernel's memory.
  std::optional<Duration> PrepareToWait(std::optional<Duration> timeout);
  // Waits until something is ready or `timeout` has passed: unset for ever, 0 not at all. A signal may end it early.
  // Meanwhile Add, Set and Remove may be called on another thread.
  void Wait(std::optional<Duration> timeout);
  // Calls the handlers of what the last Wait found ready.
  void Dispatch();

 private:
  // 512: the events of one turn; more are found in the next. They wait in the kernel, fairly: epoll's list is FIFO.
  static constexpr int kMaxEventCount = 512;

  struct Watch {
    int fd = -1;
    uint32_t wanted_events = 0;
    uint32_t armed_events = 0;  // What epoll watches; 0: `fd` is not in epoll.
    FdHandler* handler = nullptr;
  };

  explicit FdPoller(UniqueFd epoll_fd) : epoll_fd_(std::move(epoll_fd)) {}

  // Makes epoll watch what is wanted. False when the kernel lacks the memory for it.
  bool Arm(uint64_t id, Watch& watch);
  void ArmDelayed();

  UniqueFd epoll_fd_;
  SlotMap<Watch> watches_;
  std::vector<uint64_t> delayed_;  // Not armed for want of memory: tried again every few milliseconds.
  std::array<epoll_event, kMaxEventCount> events_{};
  int event_count_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_FD_POLLER_H_
