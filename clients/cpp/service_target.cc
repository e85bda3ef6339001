#include "clients/cpp/service_target.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <optional>

#include "absl/strings/match.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// What gRPC takes for a name without a port.
constexpr uint16_t kDefaultPort = 443;

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool is_port = error == std::errc() && end == text.data() + text.size() && port > 0;
  return is_port ? std::optional(port) : std::nullopt;
}

// HOST:PORT, [IPV6]:PORT, HOST, [IPV6].
ServiceTarget ParseHostPort(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  if (absl::StartsWith(ToAbsl(text), "[")) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && port.front() != ':') return {};
    if (!port.empty()) port.remove_prefix(1);
  } else if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return {};
  }
  const std::optional<uint16_t> number = port.empty() ? kDefaultPort : ParsePort(port);
  if (host.empty() || !number) return {};
  return {.kind = ServiceTarget::Kind::kTcp, .host = std::string(host), .port = *number};
}

// Takes `prefix` from the front of `text`, if it is there.
bool Take(std::string_view prefix, std::string_view& text) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Of names below it a name server may say what it likes.
bool IsLocalName(const std::string& host) { return absl::EqualsIgnoreCase(host, "localhost"); }

}  // namespace

bool ServiceTarget::is_local() const {
  if (kind != Kind::kTcp) return kind == Kind::kUnix;
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return IsLocalName(host);
}

ServiceTarget ParseServiceTarget(std::string_view text) {
  if (Take("unix:", text) || Take("unix-abstract:", text)) return {.kind = ServiceTarget::Kind::kUnix};
  if (Take("dns:", text)) {
    if (Take("//", text) && !Take("/", text)) return {};
    return ParseHostPort(text);
  }
  if (Take("ipv4:", text) || Take("ipv6:", text)) {
    return text.find(',') == std::string_view::npos ? ParseHostPort(text) : ServiceTarget();
  }
  return text.find_first_of("/,") == std::string_view::npos ? ParseHostPort(text) : ServiceTarget();
}

}  // namespace transportd
