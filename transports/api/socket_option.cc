#include "transports/api/socket_option.h"

namespace transportd {

std::optional<SocketOption> SocketOptionFromNumber(int number) {
  if (number < static_cast<int>(SocketOption::kTcpNodelay) ||
      number > static_cast<int>(SocketOption::kIpv6MulticastIf)) {
    return std::nullopt;
  }
  return static_cast<SocketOption>(number);
}

std::string_view SocketOptionName(SocketOption option) {
  switch (option) {
    case SocketOption::kTcpNodelay:
      return "TCP_NODELAY";
    case SocketOption::kSoKeepalive:
      return "SO_KEEPALIVE";
    case SocketOption::kTcpKeepidle:
      return "TCP_KEEPIDLE";
    case SocketOption::kTcpKeepintvl:
      return "TCP_KEEPINTVL";
    case SocketOption::kTcpKeepcnt:
      return "TCP_KEEPCNT";
    case SocketOption::kTcpUserTimeout:
      return "TCP_USER_TIMEOUT";
    case SocketOption::kTcpQuickack:
      return "TCP_QUICKACK";
    case SocketOption::kTcpCork:
      return "TCP_CORK";
    case SocketOption::kTcpMaxseg:
      return "TCP_MAXSEG";
    case SocketOption::kSoRcvbuf:
      return "SO_RCVBUF";
    case SocketOption::kSoSndbuf:
      return "SO_SNDBUF";
    case SocketOption::kSoReuseaddr:
      return "SO_REUSEADDR";
    case SocketOption::kSoReuseport:
      return "SO_REUSEPORT";
    case SocketOption::kSoOobinline:
      return "SO_OOBINLINE";
    case SocketOption::kSoPriority:
      return "SO_PRIORITY";
    case SocketOption::kIpTos:
      return "IP_TOS";
    case SocketOption::kIpTtl:
      return "IP_TTL";
    case SocketOption::kIpv6Tclass:
      return "IPV6_TCLASS";
    case SocketOption::kIpv6UnicastHops:
      return "IPV6_UNICAST_HOPS";
    case SocketOption::kIpv6V6only:
      return "IPV6_V6ONLY";
    case SocketOption::kSoError:
      return "SO_ERROR";
    case SocketOption::kSoType:
      return "SO_TYPE";
    case SocketOption::kSoAcceptconn:
      return "SO_ACCEPTCONN";
    case SocketOption::kSoLinger:
      return "SO_LINGER";
    case SocketOption::kSoBroadcast:
      return "SO_BROADCAST";
    case SocketOption::kIpMulticastTtl:
      return "IP_MULTICAST_TTL";
    case SocketOption::kIpMulticastLoop:
      return "IP_MULTICAST_LOOP";
    case SocketOption::kIpMulticastIf:
      return "IP_MULTICAST_IF";
    case SocketOption::kIpv6MulticastHops:
      return "IPV6_MULTICAST_HOPS";
    case SocketOption::kIpv6MulticastLoop:
      return "IPV6_MULTICAST_LOOP";
    case SocketOption::kIpv6MulticastIf:
      return "IPV6_MULTICAST_IF";
  }
  return "UNKNOWN_OPTION";
}

}  // namespace transportd
