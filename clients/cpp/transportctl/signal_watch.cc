#include "clients/cpp/transportctl/signal_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd::ctl {
namespace {

// All that a signal handler can be given; -1 without a SignalWatch.
std::atomic<int> g_write_end{-1};
static_assert(std::atomic<int>::is_always_lock_free);

void OnSignal(int signal_number) {
  const int error_number = errno;
  const auto byte = static_cast<unsigned char>(signal_number);
  // Full: so many wait already that this one is not missed.
  static_cast<void>(!::write(g_write_end.load(), &byte, 1));
  errno = error_number;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalWatch>> SignalWatch::Create(Reactor& reactor, std::span<const int> signals,
                                                                 absl::AnyInvocable<void(int)> on_signal) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "pipe2");
  }
  std::unique_ptr<SignalWatch> watch(
      new SignalWatch(reactor, UniqueFd(ends[0]), UniqueFd(ends[1]), std::move(on_signal)));
  for (const int signal_number : signals) watch->Handle(signal_number);
  return watch;
}

SignalWatch::SignalWatch(Reactor& reactor, UniqueFd read_end, UniqueFd write_end,
                         absl::AnyInvocable<void(int)> on_signal)
    : reactor_(reactor),
      read_end_(std::move(read_end)),
      write_end_(std::move(write_end)),
      on_signal_(std::move(on_signal)),
      watch_(reactor_.AddWatch(read_end_.get(), *this)) {
  CHECK(g_write_end.exchange(write_end_.get()) == -1);
  reactor_.SetWatch(watch_, true, false);
}

SignalWatch::~SignalWatch() {
  for (const auto& [signal_number, action] : before_) CHECK(::sigaction(signal_number, &action, nullptr) == 0);
  g_write_end = -1;
  reactor_.RemoveWatch(watch_);
}

void SignalWatch::Handle(int signal_number) {
  struct sigaction before = {};
  CHECK(::sigaction(signal_number, nullptr, &before) == 0);
  if (before.sa_handler == SIG_IGN) return;
  struct sigaction action = {};
  action.sa_handler = &OnSignal;
  action.sa_flags = SA_RESTART;
  CHECK(::sigaction(signal_number, &action, nullptr) == 0);
  before_.emplace_back(signal_number, before);
}

void SignalWatch::OnReadable() {
  unsigned char byte = 0;
  if (::read(read_end_.get(), &byte, 1) == 1) on_signal_(byte);
}

}  // namespace transportd::ctl
