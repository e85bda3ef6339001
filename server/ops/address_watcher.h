// Tells when this host gets an address, or loses one.
#ifndef TRANSPORTD_SERVER_OPS_ADDRESS_WATCHER_H_
#define TRANSPORTD_SERVER_OPS_ADDRESS_WATCHER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// Listens to the kernel's own announcements: rtnetlink(7). Threading: loop thread only.
class AddressWatcher final : private FdHandler {
 public:
  // `on_change` is called on the loop's thread, once for all that came together. The kernel's error, where it has no
  // rtnetlink. `reactor` must outlive this.
  static absl::StatusOr<std::unique_ptr<AddressWatcher>> Create(Reactor& reactor, absl::AnyInvocable<void()> on_change);
  AddressWatcher(const AddressWatcher&) = delete;
  AddressWatcher& operator=(const AddressWatcher&) = delete;
  ~AddressWatcher() override;

 private:
  AddressWatcher(Reactor& reactor, UniqueFd fd, absl::AnyInvocable<void()> on_change);

  void OnReadable() override;

  Reactor& reactor_;
  const UniqueFd fd_;
  absl::AnyInvocable<void()> on_change_;
  WatchId watch_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_ADDRESS_WATCHER_H_
