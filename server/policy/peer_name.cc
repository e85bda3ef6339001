#include "server/policy/peer_name.h"

#include <charconv>
#include <cstdint>
#include <utility>

#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr std::string_view kV4 = "ipv4:";
constexpr std::string_view kV6 = "ipv6:%5B";
constexpr std::string_view kV6End = "%5D";
constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kScope = "%25";  // `%`, of `fe80::1%eth0`.

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced(text);
  if (const size_t at = replaced.find(from); at != std::string::npos) replaced.replace(at, from.size(), to);
  return replaced;
}

}  // namespace

std::string PeerName(const SocketAddress& peer) {
  switch (peer.family) {
    case AddressFamily::kInet:
      return StrCat(kV4, peer.host, ":", peer.port);
    case AddressFamily::kInet6:
      return StrCat(kV6, Replaced(peer.host, "%", kScope), kV6End, ":", peer.port);
    default:
      return std::string(kUnix);
  }
}

std::optional<SocketAddress> ParsePeerName(std::string_view name) {
  if (name.starts_with(kUnix)) return SocketAddress{.family = AddressFamily::kUnix};
  const size_t colon = name.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view port_text = name.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc() || end != port_text.data() + port_text.size()) return std::nullopt;
  const std::string_view host = name.substr(0, colon);
  if (host.starts_with(kV4)) {
    return SocketAddress{.family = AddressFamily::kInet, .host = std::string(host.substr(kV4.size())), .port = port};
  }
  if (!host.starts_with(kV6) || !host.ends_with(kV6End)) return std::nullopt;
  const std::string_view inner = host.substr(kV6.size(), host.size() - kV6.size() - kV6End.size());
  return SocketAddress{.family = AddressFamily::kInet6, .host = Replaced(inner, kScope, "%"), .port = port};
}

}  // namespace transportd
