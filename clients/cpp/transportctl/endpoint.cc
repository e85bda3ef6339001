#include "clients/cpp/transportctl/endpoint.h"

#include <sys/un.h>

#include <charconv>
#include <utility>

#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

absl::Status Bad(std::string_view text, std::string_view why, std::string_view allowed) {
  return absl::InvalidArgumentError(ToAbsl(StrCat("`", text, "`: ", why, "; write ", allowed)));
}

}  // namespace

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text, bool host_is_optional) {
  Endpoint out;
  if (!text.starts_with(kUnixPrefix)) {
    absl::StatusOr<HostPort> host_port = ParseHostPort(text, host_is_optional);
    if (!host_port.ok()) return host_port.status();
    out.host_port = *std::move(host_port);
    return out;
  }
  constexpr std::string_view kAllowed = "unix:PATH, or unix:@NAME for an abstract name";
  std::string path(text.substr(kUnixPrefix.size()));
  if (path.empty()) return Bad(text, "the path is missing", kAllowed);
  if (path == "@") return Bad(text, "the name is missing", kAllowed);
  if (path.front() == '@') path.front() = '\0';
  if (path.size() > sizeof(sockaddr_un::sun_path)) return Bad(text, "a Unix path has at most 108 bytes", kAllowed);
  out.unix_path = std::move(path);
  return out;
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text, bool host_is_optional) {
  const auto bad = [&](std::string_view why) {
    return Bad(text, why,
               host_is_optional ? "[HOST:]PORT, with an IPv6 address in brackets: [::1]:80"
                                : "HOST:PORT, with an IPv6 address in brackets: [::1]:80");
  };
  HostPort out;
  std::string_view port = text;
  if (!text.empty() && text.front() == '[') {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket + 1 >= text.size() || text[bracket + 1] != ':') {
      return bad("after [ comes an address, then ]:PORT");
    }
    out.host = std::string(text.substr(1, bracket - 1));
    port = text.substr(bracket + 2);
  } else if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    if (text.find(':') != colon) return bad("more than one colon");
    if (colon > 0) out.host = std::string(text.substr(0, colon));
    port = text.substr(colon + 1);
  } else if (!host_is_optional) {
    return bad("the port is missing");
  }
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number > 65535) {
    return bad("the port must be a number from 0 to 65535");
  }
  out.port = number;
  return out;
}

std::string EndpointText(const SocketAddress& address) {
  const bool has_path = address.family == AddressFamily::kUnix && !address.path.empty();
  return has_path ? StrCat(kUnixPrefix, address.ToString()) : address.ToString();
}

}  // namespace transportd::ctl
