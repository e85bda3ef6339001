// The socket options that may be read and set: the allow-list. Values and ranges: SocketOption in
// proto/transportd/v1/types.proto, whose numbers these are.
#ifndef TRANSPORTD_TRANSPORTS_API_SOCKET_OPTION_H_
#define TRANSPORTD_TRANSPORTS_API_SOCKET_OPTION_H_

#include <optional>
#include <string_view>

namespace transportd {

enum class SocketOption {
  kTcpNodelay = 1,
  kSoKeepalive = 2,
  kTcpKeepidle = 3,
  kTcpKeepintvl = 4,
  kTcpKeepcnt = 5,
  kTcpUserTimeout = 6,
  kTcpQuickack = 7,
  kTcpCork = 8,
  kTcpMaxseg = 9,
  kSoRcvbuf = 10,
  kSoSndbuf = 11,
  kSoReuseaddr = 12,
  kSoReuseport = 13,
  kSoOobinline = 14,
  kSoPriority = 15,
  kIpTos = 16,
  kIpTtl = 17,
  kIpv6Tclass = 18,
  kIpv6UnicastHops = 19,
  kIpv6V6only = 20,
  kSoError = 21,
  kSoType = 22,
  kSoAcceptconn = 23,
  kSoLinger = 24,
  kSoBroadcast = 25,
  kIpMulticastTtl = 26,
  kIpMulticastLoop = 27,
  kIpMulticastIf = 28,
  kIpv6MulticastHops = 29,
  kIpv6MulticastLoop = 30,
  kIpv6MulticastIf = 31,
};

// Null when `number` is not on the list.
std::optional<SocketOption> SocketOptionFromNumber(int number);

// "TCP_NODELAY", …
std::string_view SocketOptionName(SocketOption option);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_SOCKET_OPTION_H_
