#include "clients/cpp/queue_sleeper.h"

#include <poll.h>

#include <cerrno>
#include <utility>

#include "transports/base/check.h"

namespace transportd {
namespace {

// No operation of the queue's owner has it.
void* const kAlarmTag = nullptr;

gpr_timespec DeadlineIn(std::optional<Duration> timeout) {
  if (!timeout.has_value()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  if (*timeout <= Duration::zero()) return gpr_inf_past(GPR_CLOCK_MONOTONIC);
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(timeout->count(), GPR_TIMESPAN));
}

}  // namespace

QueueSleeper::QueueSleeper(Reactor& reactor, absl::AnyInvocable<void(const GrpcCompletion&)> completed)
    : reactor_(reactor), completed_(std::move(completed)), thread_([this] { WatchDescriptors(); }) {}

QueueSleeper::~QueueSleeper() {
  Leave();
  queue_.Shutdown();
  while (DrainOne()) {
  }
}

void QueueSleeper::WatchDescriptors() {
  for (;;) {
    pollfd ready = {.fd = reactor_.pollable_fd(), .events = POLLIN, .revents = 0};
    const int count = ::poll(&ready, 1, -1);
    CHECK(count > 0 || errno == EINTR);
    MutexLock lock(mutex_);
    if (is_leaving_) return;
    if (count <= 0) continue;
    has_rung_ = true;
    alarm_.Set(&queue_, gpr_inf_past(GPR_CLOCK_MONOTONIC), kAlarmTag);
    // It stays readable until the reactor has looked.
    while (has_rung_ && !is_leaving_) looked_.Wait(mutex_);
    if (is_leaving_) return;
  }
}

void QueueSleeper::Leave() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(mutex_);
    is_leaving_ = true;
  }
  looked_.Signal();
  reactor_.task_queue()->Signal();  // pollable_fd() is readable.
  thread_.join();
}

bool QueueSleeper::DrainOne() {
  GrpcCompletion completion;
  if (!queue_.Next(&completion.tag, &completion.ok)) return false;
  if (completion.tag != kAlarmTag) completed_(completion);
  return true;
}

bool QueueSleeper::Sleep(std::optional<Duration> timeout) {
  if (std::exchange(looks_, false)) {
    {
      MutexLock lock(mutex_);
      has_rung_ = false;
    }
    looked_.Signal();
  }
  GrpcCompletion completion;
  const auto status = queue_.AsyncNext(&completion.tag, &completion.ok, DeadlineIn(timeout));
  if (status != grpc::CompletionQueue::GOT_EVENT) return false;
  looks_ = completion.tag == kAlarmTag;
  if (!looks_) found_ = completion;
  return looks_;
}

void QueueSleeper::Dispatch() {
  if (const auto completion = std::exchange(found_, std::nullopt)) completed_(*completion);
}

}  // namespace transportd
