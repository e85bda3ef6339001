#include "server/policy/self_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include "transports/api/error.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

constexpr uint16_t kKubeletPorts[] = {10250,
                                      10255};  // https://kubernetes.io/docs/reference/networking/ports-and-protocols/

// A port as a decimal number, 1 to 65535.
std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

}  // namespace

void SelfAddresses::AddOwnPort(uint16_t port, ActionProtocol protocol) {
  entries_.push_back({.any_local = true, .address = {}, .port = port, .protocol = protocol});
}

void SelfAddresses::Add(const IpAddress& address, uint16_t port, ActionProtocol protocol) {
  entries_.push_back({.any_local = false, .address = address, .port = port, .protocol = protocol});
}

void SelfAddresses::AddLocal(const IpAddress& address) {
  const auto place = std::lower_bound(local_.begin(), local_.end(), address);
  if (place == local_.end() || *place != address) local_.insert(place, address);
}

absl::Status SelfAddresses::AddLocalOfInterfaces() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) {
    const int error_number = errno;
    return ErrnoToStatus(error_number, "getifaddrs");
  }
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> holder(first, ::freeifaddrs);
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (const auto address = IpAddress::From(FromRawAddress(entry->ifa_addr, length))) AddLocal(*address);
  }
  return absl::OkStatus();
}

void SelfAddresses::AddEnvironment(const std::function<const char*(const char*)>& environment) {
  const auto text = [&](const char* name) {
    const char* const value = environment(name);
    return std::string_view(value != nullptr ? value : "");
  };
  if (const auto server = IpAddress::Parse(text("KUBERNETES_SERVICE_HOST"))) {
    for (const char* name : {"KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS"}) {
      if (const auto port = ParsePort(text(name))) Add(*server, *port, ActionProtocol::kTcp);
    }
  }
  for (const char* name : {"NODE_IP", "HOST_IP"}) {
    const auto node = IpAddress::Parse(text(name));
    if (!node) continue;
    for (const uint16_t port : kKubeletPorts) Add(*node, port, ActionProtocol::kTcp);
  }
}

bool SelfAddresses::IsLocal(const IpAddress& address) const {
  return address.IsWildcard() || address.IsLoopback() || std::binary_search(local_.begin(), local_.end(), address);
}

// The kernel takes a wildcard for this host: what is at one of its addresses may be reached so.
bool SelfAddresses::Matches(const Entry& entry, const IpAddress& address) const {
  if (entry.any_local) return IsLocal(address);
  return entry.address == address || (address.IsWildcard() && IsLocal(entry.address));
}

bool SelfAddresses::Contains(const IpAddress& address, uint16_t port, ActionProtocol protocol) const {
  if (port == 0 || protocol == ActionProtocol::kNone) return false;
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.port == port && entry.protocol == protocol && Matches(entry, address);
  });
}

std::vector<uint16_t> SelfAddresses::PortsAt(const IpAddress& address, ActionProtocol protocol) const {
  std::vector<uint16_t> ports;
  for (const Entry& entry : entries_) {
    if (entry.protocol == protocol && Matches(entry, address)) ports.push_back(entry.port);
  }
  return ports;
}

}  // namespace transportd
