// What a service manager is told: sd_notify(3), without its library.
#ifndef TRANSPORTD_SERVER_OPS_SERVICE_NOTIFIER_H_
#define TRANSPORTD_SERVER_OPS_SERVICE_NOTIFIER_H_

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Threading: one thread.
class ServiceNotifier final {
 public:
  // `address`: what NOTIFY_SOCKET says: a path, or `@NAME` for an abstract name. Empty: there is no service manager,
  // and nothing is sent. The kernel's error; INVALID_ARGUMENT / BAD_NOTIFY_SOCKET for what cannot be an address.
  static absl::StatusOr<ServiceNotifier> Create(std::string_view address);

  // Calls are answered.
  absl::Status Ready(std::string_view status) const;
  // The service ends, and may take so long.
  absl::Status Stopping(std::chrono::microseconds at_most, std::string_view status) const;

 private:
  ServiceNotifier(UniqueFd socket, std::string address) : socket_(std::move(socket)), address_(std::move(address)) {}
  absl::Status Send(std::string_view message) const;

  UniqueFd socket_;      // Not valid: nobody listens.
  std::string address_;  // As the kernel has it: an abstract name begins with a zero.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_SERVICE_NOTIFIER_H_
