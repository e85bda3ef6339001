#include "transports/reactor/fd_poller.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <limits>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/logging.h"
#include "transports/reactor/reactor.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kWakeId = 0;  // No watch has it.
constexpr milliseconds kRearmInterval{10};

// epoll_wait(2) knows milliseconds only: rounded up, since a timer that is not yet due would make the loop spin.
int CeilToMilliseconds(Duration timeout) {
  auto rounded = std::chrono::ceil<milliseconds>(timeout).count();
  return rounded > std::numeric_limits<int>::max() ? std::numeric_limits<int>::max() : static_cast<int>(rounded);
}

// epoll_pwait2(2) knows nanoseconds, from Linux 5.11 on; not every sandbox lets it through.
int WaitForEvents(int epoll_fd, epoll_event* events, int max_count, std::optional<Duration> timeout) {
  if (!timeout.has_value()) return ::epoll_wait(epoll_fd, events, max_count, -1);
  if (*timeout <= Duration::zero()) return ::epoll_wait(epoll_fd, events, max_count, 0);
  auto seconds = std::chrono::floor<std::chrono::seconds>(*timeout);
  timespec relative{.tv_sec = seconds.count(), .tv_nsec = (*timeout - seconds).count()};
  int count = ::epoll_pwait2(epoll_fd, events, max_count, &relative, nullptr);
  if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  return ::epoll_wait(epoll_fd, events, max_count, CeilToMilliseconds(*timeout));
}

}  // namespace

absl::StatusOr<FdPoller> FdPoller::Create(int wake_fd) {
  UniqueFd epoll_fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_fd.valid()) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "epoll_create1");
  }
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = kWakeId}};
  if (::epoll_ctl(epoll_fd.get(), EPOLL_CTL_ADD, wake_fd, &event) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "epoll_ctl");
  }
  return FdPoller(std::move(epoll_fd));
}

uint64_t FdPoller::Add(int fd, FdHandler& handler) {
  CHECK(fd >= 0);
  return watches_.Insert(Watch{.fd = fd, .handler = &handler});
}

void FdPoller::Set(uint64_t id, bool readable, bool writable) {
  Watch* watch = watches_.Find(id);
  CHECK(watch != nullptr);
  watch->wanted_events = (readable ? uint32_t{EPOLLIN} : 0) | (writable ? uint32_t{EPOLLOUT} : 0);
  if (!Arm(id, *watch) && std::find(delayed_.begin(), delayed_.end(), id) == delayed_.end()) {
    LogWarning("no memory to watch descriptor ", watch->fd, "; trying again");
    delayed_.push_back(id);
  }
}

void FdPoller::Remove(uint64_t id) {
  Watch* watch = watches_.Find(id);
  CHECK(watch != nullptr);
  watch->wanted_events = 0;
  Arm(id, *watch);
  watches_.Erase(id);
}

bool FdPoller::Arm(uint64_t id, Watch& watch) {
  if (watch.wanted_events == watch.armed_events) return true;
  // Without interest the descriptor leaves epoll, which would report its hang-up and errors all the same.
  int operation = watch.wanted_events == 0 ? EPOLL_CTL_DEL : watch.armed_events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  epoll_event event{.events = watch.wanted_events, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_fd_.get(), operation, watch.fd, &event) != 0) {
    // Any other error is a mistake of the caller: EPERM a file that cannot be watched, EBADF or ENOENT one that was
    // closed before its watch ended, EEXIST one that is watched twice.
    CHECK(errno == ENOMEM || errno == ENOSPC);
    return false;
  }
  watch.armed_events = watch.wanted_events;
  return true;
}

void FdPoller::ArmDelayed() {
  std::erase_if(delayed_, [this](uint64_t id) {
    Watch* watch = watches_.Find(id);
    return watch == nullptr || Arm(id, *watch);
  });
}

std::optional<Duration> FdPoller::PrepareToWait(std::optional<Duration> timeout) {
  if (delayed_.empty()) return timeout;
  ArmDelayed();
  const bool is_late = !timeout.has_value() || *timeout > kRearmInterval;
  return is_late && !delayed_.empty() ? kRearmInterval : timeout;
}

void FdPoller::Wait(std::optional<Duration> timeout) {
  event_count_ = WaitForEvents(epoll_fd_.get(), events_.data(), kMaxEventCount, timeout);
  if (event_count_ < 0) {
    CHECK(errno == EINTR);
    event_count_ = 0;
  }
}

void FdPoller::Dispatch() {
  for (int i = 0; i < event_count_; ++i) {
    const epoll_event event = events_[static_cast<size_t>(i)];
    // A hang-up or an error is met by the next read or write, whichever is watched; as in asyncio's selectors.
    const bool failed = (event.events & (EPOLLHUP | EPOLLERR)) != 0;
    // Found anew before each call: the call before may have ended or changed any watch.
    if (failed || (event.events & EPOLLIN) != 0) {
      Watch* watch = watches_.Find(event.data.u64);
      if (watch != nullptr && (watch->wanted_events & EPOLLIN) != 0) watch->handler->OnReadable();
    }
    if (failed || (event.events & EPOLLOUT) != 0) {
      Watch* watch = watches_.Find(event.data.u64);
      if (watch != nullptr && (watch->wanted_events & EPOLLOUT) != 0) watch->handler->OnWritable();
    }
  }
  event_count_ = 0;
}

}  // namespace transportd
