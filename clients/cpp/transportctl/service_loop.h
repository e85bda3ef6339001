// The event loop of a command that has a session with the service, and the command's exit status.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SERVICE_LOOP_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SERVICE_LOOP_H_

#include <memory>

#include "absl/status/status.h"
#include "clients/cpp/connect.h"
#include "clients/cpp/transportctl/standard_error.h"
#include "transports/api/time.h"

namespace transportd::ctl {

// Threading: loop thread only.
class ServiceLoop final {
 public:
  // `service` must outlive it.
  explicit ServiceLoop(const ConnectOptions& service);

  // Connects; once, first. DEADLINE_EXCEEDED without a reason when the service does not answer.
  absl::Status Open();
  // After Open.
  RemoteEventLoop& loop() { return *loop_; }

  // Until the time that ConnectOptions.timeout gives the whole has passed; never 0.
  Duration Remaining() const;

  // For standard error: see ctl::Explain.
  Lines Explain(const absl::Status& status) const;

  // The first one counts.
  void Stop(int exit_code);
  bool stopped() const { return stopped_; }
  // Runs the loop until Stop; returns its exit code.
  int Run();

 private:
  const ConnectOptions& service_;
  const TimePoint deadline_;
  std::unique_ptr<RemoteEventLoop> loop_;
  bool stopped_ = false;
  int exit_code_ = 0;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SERVICE_LOOP_H_
