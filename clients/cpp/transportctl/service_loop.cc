#include "clients/cpp/transportctl/service_loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "transports/base/clock.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {

ServiceLoop::ServiceLoop(const ConnectOptions& service)
    : service_(service), deadline_(SystemClock().Now() + service.timeout) {}

absl::Status ServiceLoop::Open() {
  absl::StatusOr<std::unique_ptr<RemoteEventLoop>> loop = ConnectRemoteEventLoop(service_);
  if (!loop.ok()) {
    // Here it is the service that did not answer; later, with the same reason, it would be the peer.
    return absl::IsDeadlineExceeded(loop.status()) ? absl::DeadlineExceededError("") : loop.status();
  }
  loop_ = *std::move(loop);
  loop_->SetDrainingHandler([](Duration time_left) {
    PrintToStderr(StrCat("the service stops: it ends this in ", absl::FormatDuration(absl::FromChrono(time_left)),
                         " at the latest"));
  });
  return absl::OkStatus();
}

Duration ServiceLoop::Remaining() const {
  return std::max<Duration>(deadline_ - SystemClock().Now(), std::chrono::milliseconds(1));
}

Lines ServiceLoop::Explain(const absl::Status& status) const {
  // The one call that all goes over.
  return ctl::Explain(status, service_.target, "Session", service_.timeout);
}

void ServiceLoop::Stop(int exit_code) {
  if (std::exchange(stopped_, true)) return;
  exit_code_ = exit_code;
  if (loop_ != nullptr) loop_->Stop();
}

int ServiceLoop::Run() {
  if (!stopped_) loop_->RunForever();
  return exit_code_;
}

}  // namespace transportd::ctl
