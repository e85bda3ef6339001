#include "server/policy/address_set.h"

#include <algorithm>

#include "server/policy/names.h"
#include "transports/base/check.h"

namespace transportd {

std::vector<PortRange> Joined(std::vector<PortRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const PortRange& a, const PortRange& b) { return a.first < b.first; });
  std::vector<PortRange> out;
  for (const PortRange& range : ranges) {
    if (!out.empty() && range.first <= uint32_t{out.back().last} + 1) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

std::vector<PortRange> Without(const std::vector<PortRange>& ranges, const std::vector<PortRange>& others) {
  std::vector<PortRange> out;
  const auto add = [&](uint32_t first, uint32_t last) {
    if (first <= last) out.push_back({.first = static_cast<uint16_t>(first), .last = static_cast<uint16_t>(last)});
  };
  for (const PortRange& range : ranges) {
    uint32_t first = range.first;
    for (const PortRange& other : others) {
      if (other.last < first || other.first > range.last) continue;
      if (other.first > first) add(first, other.first - 1u);
      first = other.last + 1u;
    }
    add(first, range.last);
  }
  return out;
}

AddressSet::AddressSet(const v1::AddressSet& set) : hosts_(set.hosts().begin(), set.hosts().end()) {
  for (const std::string& cidr : set.cidrs()) {
    const std::optional<IpNetwork> network = IpNetwork::Parse(cidr);
    CHECK(network.has_value());
    networks_.push_back(*network);
  }
  for (const int value : set.classes()) classes_ |= 1u << static_cast<unsigned>(value);
  for (const v1::PortRange& range : set.ports()) {
    ports_.push_back({.first = static_cast<uint16_t>(range.first()),
                      .last = static_cast<uint16_t>(range.last() != 0 ? range.last() : range.first())});
  }
  ports_ = Joined(std::move(ports_));
  any_port_ = ports_.empty();
}

bool AddressSet::HasNetwork(const IpAddress& address) const {
  return std::any_of(networks_.begin(), networks_.end(),
                     [&](const IpNetwork& network) { return network.Contains(address); });
}

bool AddressSet::HasHost(std::string_view host) const {
  return !host.empty() && std::any_of(hosts_.begin(), hosts_.end(),
                                      [&](const std::string& pattern) { return MatchesHost(pattern, host); });
}

bool AddressSet::HasPort(uint16_t port) const {
  return any_port_ || std::any_of(ports_.begin(), ports_.end(),
                                  [&](const PortRange& range) { return port >= range.first && port <= range.last; });
}

bool AddressSet::GrantsAddress(const Place& place) const {
  const bool is_named = HasClass(place.address_class);
  const bool needs_naming =
      place.address_class == AddressClass::kSelf || place.address_class == AddressClass::kMetadata;
  if (needs_naming && !is_named) return false;
  if (HasNetwork(place.address)) return true;
  if (hosts_.empty()) return networks_.empty() && is_named;
  return (is_named || place.address_class == AddressClass::kGlobal) && HasHost(place.host);
}

bool AddressSet::DeniesAddress(const Place& place, const SelfAddresses& self) const {
  if (HasClass(place.address_class) || HasNetwork(place.address) || HasHost(place.host)) return true;
  const EmbeddedAddresses embedded = EmbeddedIn(place.address);
  return std::any_of(embedded.begin(), embedded.end(), [&](const IpAddress& address) {
    return HasNetwork(address) || HasClass(Classify(address, place.port, ActionProtocol::kNone, self));
  });
}

}  // namespace transportd
