#include "transports/base/socket_option_table.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <limits>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

enum class Access { kRead, kWrite, kBoth };

struct Entry {
  SocketOption option = {};
  int level = 0;
  int name = 0;
  Access access = Access::kBoth;
  int min = 0;
  int max = 0;
};

constexpr int kMaxBufferBytes = 4194304;
constexpr int kMaxInt = std::numeric_limits<int>::max();

// SO_LINGER is off or 0: with more, close(2) waits for the peer, non-blocking socket or not, and the loop with it
// (socket(7)). IP_MULTICAST_IF is set by the interface's index, as that of IPv6, and the kernel would answer with
// something else: an address (ip(7)).
constexpr Entry kEntries[] = {
    {SocketOption::kTcpNodelay, IPPROTO_TCP, TCP_NODELAY, Access::kBoth, 0, 1},
    {SocketOption::kSoKeepalive, SOL_SOCKET, SO_KEEPALIVE, Access::kBoth, 0, 1},
    {SocketOption::kTcpKeepidle, IPPROTO_TCP, TCP_KEEPIDLE, Access::kBoth, 1, 32767},
    {SocketOption::kTcpKeepintvl, IPPROTO_TCP, TCP_KEEPINTVL, Access::kBoth, 1, 32767},
    {SocketOption::kTcpKeepcnt, IPPROTO_TCP, TCP_KEEPCNT, Access::kBoth, 1, 127},
    {SocketOption::kTcpUserTimeout, IPPROTO_TCP, TCP_USER_TIMEOUT, Access::kBoth, 0, kMaxInt},
    {SocketOption::kTcpQuickack, IPPROTO_TCP, TCP_QUICKACK, Access::kBoth, 0, 1},
    {SocketOption::kTcpCork, IPPROTO_TCP, TCP_CORK, Access::kBoth, 0, 1},
    {SocketOption::kTcpMaxseg, IPPROTO_TCP, TCP_MAXSEG, Access::kBoth, 88, 32767},
    {SocketOption::kSoRcvbuf, SOL_SOCKET, SO_RCVBUF, Access::kBoth, 0, kMaxBufferBytes},
    {SocketOption::kSoSndbuf, SOL_SOCKET, SO_SNDBUF, Access::kBoth, 0, kMaxBufferBytes},
    {SocketOption::kSoReuseaddr, SOL_SOCKET, SO_REUSEADDR, Access::kBoth, 0, 1},
    {SocketOption::kSoReuseport, SOL_SOCKET, SO_REUSEPORT, Access::kBoth, 0, 1},
    {SocketOption::kSoOobinline, SOL_SOCKET, SO_OOBINLINE, Access::kBoth, 0, 1},
    {SocketOption::kSoPriority, SOL_SOCKET, SO_PRIORITY, Access::kBoth, 0, 6},
    {SocketOption::kIpTos, IPPROTO_IP, IP_TOS, Access::kBoth, 0, 255},
    {SocketOption::kIpTtl, IPPROTO_IP, IP_TTL, Access::kBoth, 1, 255},
    {SocketOption::kIpv6Tclass, IPPROTO_IPV6, IPV6_TCLASS, Access::kBoth, 0, 255},
    {SocketOption::kIpv6UnicastHops, IPPROTO_IPV6, IPV6_UNICAST_HOPS, Access::kBoth, 1, 255},
    {SocketOption::kIpv6V6only, IPPROTO_IPV6, IPV6_V6ONLY, Access::kRead},
    {SocketOption::kSoError, SOL_SOCKET, SO_ERROR, Access::kRead},
    {SocketOption::kSoType, SOL_SOCKET, SO_TYPE, Access::kRead},
    {SocketOption::kSoAcceptconn, SOL_SOCKET, SO_ACCEPTCONN, Access::kRead},
    {SocketOption::kSoLinger, SOL_SOCKET, SO_LINGER, Access::kBoth, -1, 0},
    {SocketOption::kSoBroadcast, SOL_SOCKET, SO_BROADCAST, Access::kBoth, 0, 1},
    {SocketOption::kIpMulticastTtl, IPPROTO_IP, IP_MULTICAST_TTL, Access::kBoth, 0, 255},
    {SocketOption::kIpMulticastLoop, IPPROTO_IP, IP_MULTICAST_LOOP, Access::kBoth, 0, 1},
    {SocketOption::kIpMulticastIf, IPPROTO_IP, IP_MULTICAST_IF, Access::kWrite, 0, kMaxInt},
    {SocketOption::kIpv6MulticastHops, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, Access::kBoth, 0, 255},
    {SocketOption::kIpv6MulticastLoop, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, Access::kBoth, 0, 1},
    {SocketOption::kIpv6MulticastIf, IPPROTO_IPV6, IPV6_MULTICAST_IF, Access::kBoth, 0, kMaxInt},
};

const Entry* Find(SocketOption option) {
  for (const Entry& entry : kEntries) {
    if (entry.option == option) return &entry;
  }
  return nullptr;
}

absl::Status UnknownOption(SocketOption option) {
  return InvalidArgument("UNKNOWN_OPTION", "option",
                         StrCat("socket option ", static_cast<int>(option), " is not on the allow-list"));
}

}  // namespace

absl::StatusOr<int> GetSocketOption(int fd, SocketOption option) {
  const Entry* entry = Find(option);
  if (entry == nullptr) return UnknownOption(option);
  if (entry->access == Access::kWrite) {
    return InvalidArgument("INVALID_OPTION_VALUE", "option",
                           StrCat(SocketOptionName(option), " can be set, but not read"));
  }
  int value = 0;
  int result = 0;
  if (option == SocketOption::kSoLinger) {
    linger setting{};
    socklen_t length = sizeof(setting);
    result = ::getsockopt(fd, entry->level, entry->name, &setting, &length);
    value = setting.l_onoff != 0 ? setting.l_linger : -1;
  } else {
    socklen_t length = sizeof(value);
    result = ::getsockopt(fd, entry->level, entry->name, &value, &length);
  }
  if (result != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "getsockopt", SocketOptionName(option));
  }
  return value;
}

absl::Status SetSocketOption(int fd, SocketOption option, int value) {
  const Entry* entry = Find(option);
  if (entry == nullptr) return UnknownOption(option);
  std::string_view name = SocketOptionName(option);
  if (entry->access == Access::kRead) {
    return InvalidArgument("INVALID_OPTION_VALUE", "option", StrCat(name, " can be read, but not set"));
  }
  if (value < entry->min || value > entry->max) {
    return InvalidArgument("INVALID_OPTION_VALUE", "value",
                           StrCat(name, " is ", value, ", must be from ", entry->min, " to ", entry->max));
  }
  int result = 0;
  if (option == SocketOption::kSoLinger) {
    linger setting{.l_onoff = value < 0 ? 0 : 1, .l_linger = value < 0 ? 0 : value};
    result = ::setsockopt(fd, entry->level, entry->name, &setting, sizeof(setting));
  } else if (option == SocketOption::kIpMulticastIf) {
    ip_mreqn setting{};
    setting.imr_ifindex = value;
    result = ::setsockopt(fd, entry->level, entry->name, &setting, sizeof(setting));
  } else {
    result = ::setsockopt(fd, entry->level, entry->name, &value, sizeof(value));
  }
  if (result != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "setsockopt", name);
  }
  return absl::OkStatus();
}

}  // namespace transportd
