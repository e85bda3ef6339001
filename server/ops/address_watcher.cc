#include "server/ops/address_watcher.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "transports/api/error.h"

namespace transportd {

absl::StatusOr<std::unique_ptr<AddressWatcher>> AddressWatcher::Create(Reactor& reactor,
                                                                       absl::AnyInvocable<void()> on_change) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd.valid()) return ErrnoToStatus(errno, "socket", "rtnetlink");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoToStatus(errno, "bind", "rtnetlink");
  }
  return std::unique_ptr<AddressWatcher>(new AddressWatcher(reactor, std::move(fd), std::move(on_change)));
}

AddressWatcher::AddressWatcher(Reactor& reactor, UniqueFd fd, absl::AnyInvocable<void()> on_change)
    : reactor_(reactor), fd_(std::move(fd)), on_change_(std::move(on_change)) {
  watch_ = reactor_.AddWatch(fd_.get(), *this);
  reactor_.SetWatch(watch_, /*readable=*/true, /*writable=*/false);
}

AddressWatcher::~AddressWatcher() { reactor_.RemoveWatch(watch_); }

void AddressWatcher::OnReadable() {
  // What they say is not looked at, and ENOBUFS, that some were lost, says as much.
  char message[4096];
  while (::recv(fd_.get(), message, sizeof(message), 0) > 0 || errno == ENOBUFS) {
  }
  on_change_();
}

}  // namespace transportd
