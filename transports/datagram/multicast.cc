#include "transports/datagram/multicast.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>

#include "transports/api/error.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

// RFC 3678, section 5.1: the same for both families.
absl::Status Change(int fd, AddressFamily family, const MulticastGroup& group, int option, std::string_view operation) {
  if (family != AddressFamily::kInet && family != AddressFamily::kInet6) {
    return InvalidArgument("INVALID_FAMILY", "address", "only IPv4 and IPv6 sockets have multicast groups");
  }
  const absl::StatusOr<RawAddress> address = ToRawAddress({.family = family, .host = group.address});
  if (!address.ok()) {
    return InvalidArgument("INVALID_HOST", "address", "not a numeric address of the socket's family");
  }
  group_req request{};
  request.gr_interface = group.interface_index;
  request.gr_group = address->storage;
  const int level = family == AddressFamily::kInet ? IPPROTO_IP : IPPROTO_IPV6;
  if (::setsockopt(fd, level, option, &request, sizeof(request)) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, operation, group.address);
}

}  // namespace

absl::Status JoinGroup(int fd, AddressFamily family, const MulticastGroup& group) {
  return Change(fd, family, group, MCAST_JOIN_GROUP, "join_group");
}

absl::Status LeaveGroup(int fd, AddressFamily family, const MulticastGroup& group) {
  return Change(fd, family, group, MCAST_LEAVE_GROUP, "leave_group");
}

}  // namespace transportd
