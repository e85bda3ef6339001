// SIGTERM and SIGINT, and SIGHUP of a service, as something that main can wait for together with its own events. In the
// first process of a container, SIGCHLD besides: whoever waits here reaps the orphans.
#ifndef TRANSPORTD_SERVER_OPS_STOP_SIGNALS_H_
#define TRANSPORTD_SERVER_OPS_STOP_SIGNALS_H_

#include <chrono>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Threading: Wait from the thread that runs main; Wake from any.
class StopSignals final {
 public:
  enum class Event { kSignal, kReload, kWoken, kTimeout };
  enum class Hangup { kDefault, kReloads };

  // Blocks these signals in this thread and in those it starts, and ignores SIGPIPE: to be called before any thread is
  // started. `hangup`: what SIGHUP does: end the process, as by default, or come as kReload. The kernel's error.
  static absl::StatusOr<std::unique_ptr<StopSignals>> Create(Hangup hangup);

  // A signal that has come (kReload: SIGHUP), a Wake that nobody has seen, or the end of `timeout` (unset: never).
  // Signals first.
  Event Wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  void Wake();

 private:
  StopSignals(UniqueFd signals, UniqueFd wake) : signals_(std::move(signals)), wake_(std::move(wake)) {}

  const UniqueFd signals_;
  const UniqueFd wake_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_STOP_SIGNALS_H_
