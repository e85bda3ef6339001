// Signals, on the event loop.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SIGNAL_WATCH_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SIGNAL_WATCH_H_

#include <signal.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd::ctl {

// By handlers and a pipe, not by signalfd(2), for which every thread would have to block them: gRPC's are there
// already. At most one at a time. Threading: loop thread only.
class SignalWatch final : private FdHandler {
 public:
  // Calls `on_signal` in a turn of its own for each of `signals` that comes. Those that are ignored, as nohup(1) and
  // shells in the background do, stay so. `reactor` must outlive it.
  static absl::StatusOr<std::unique_ptr<SignalWatch>> Create(Reactor& reactor, std::span<const int> signals,
                                                             absl::AnyInvocable<void(int)> on_signal);
  // What the signals did before, they do again.
  ~SignalWatch() override;
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  SignalWatch(Reactor& reactor, UniqueFd read_end, UniqueFd write_end, absl::AnyInvocable<void(int)> on_signal);
  void Handle(int signal_number);
  void OnReadable() override;

  Reactor& reactor_;
  const UniqueFd read_end_;
  const UniqueFd write_end_;
  absl::AnyInvocable<void(int)> on_signal_;
  const WatchId watch_;
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SIGNAL_WATCH_H_
