#include "server/ops/stop_signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <limits>
#include <utility>

#include "server/ops/orphans.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/clock.h"

namespace transportd {

absl::StatusOr<std::unique_ptr<StopSignals>> StopSignals::Create(Hangup hangup) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (hangup == Hangup::kReloads) sigaddset(&set, SIGHUP);
  if (InheritsOrphans()) sigaddset(&set, SIGCHLD);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  CHECK(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "signalfd");
  }
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "eventfd");
  }
  return std::unique_ptr<StopSignals>(new StopSignals(std::move(signals), std::move(wake)));
}

StopSignals::Event StopSignals::Wait(std::optional<std::chrono::milliseconds> timeout) {
  using std::chrono::milliseconds;
  const auto begin = SystemClock().Now();
  for (;;) {
    int rest_ms = -1;
    if (timeout) {
      const auto rest = *timeout - std::chrono::floor<milliseconds>(SystemClock().Now() - begin);
      rest_ms = static_cast<int>(std::clamp<int64_t>(rest.count(), 0, std::numeric_limits<int>::max()));
    }
    pollfd fds[] = {{signals_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    const int ready = poll(fds, 2, rest_ms);
    if (ready == 0) return Event::kTimeout;
    signalfd_siginfo info = {};
    if (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo == SIGCHLD) {
        ReapOrphans();
        continue;
      }
      return info.ssi_signo == SIGHUP ? Event::kReload : Event::kSignal;
    }
    uint64_t count = 0;
    if (read(wake_.get(), &count, sizeof(count)) == sizeof(count)) return Event::kWoken;
    // EINTR: a signal that is not ours, such as SIGCONT.
  }
}

void StopSignals::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the wait is over already.
  (void)!write(wake_.get(), &one, sizeof(one));
}

}  // namespace transportd
