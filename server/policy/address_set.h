// A compiled AddressSet.
#ifndef TRANSPORTD_SERVER_POLICY_ADDRESS_SET_H_
#define TRANSPORTD_SERVER_POLICY_ADDRESS_SET_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/policy/address_class.h"
#include "server/policy/ip_address.h"
#include "transportd/v1/policy.pb.h"
#include "transports/api/socket_gate.h"

namespace transportd {

// Where an action leads, as sets are asked for it. Threading: a value, for the time of a call.
struct Place {
  IpAddress address;
  uint16_t port = 0;
  AddressClass address_class = AddressClass::kNone;
  std::string_view host;  // Empty: it was found under no name.
};

// Of a valid v1::AddressSet. Threading: immutable after construction.
class AddressSet final {
 public:
  explicit AddressSet(const v1::AddressSet& set);

  // As policy.proto says, for a grant: SELF and METADATA when `classes` names them, too.
  bool Grants(const Place& place) const { return HasPort(place.port) && GrantsAddress(place); }
  // For a denial: by any of CIDR, host name and class; the IPv4 addresses inside an IPv6 one, too.
  bool Denies(const Place& place, const SelfAddresses& self) const {
    return HasPort(place.port) && DeniesAddress(place, self);
  }
  // The same at some port.
  bool GrantsAddress(const Place& place) const;
  bool DeniesAddress(const Place& place, const SelfAddresses& self) const;

  bool HasHost(std::string_view host) const;
  bool HasPort(uint16_t port) const;
  bool any_port() const { return any_port_; }
  // Sorted, without overlaps; empty when any_port.
  const std::vector<PortRange>& ports() const { return ports_; }

  // Whether names say nothing about it: addresses are in it whatever they were found under.
  bool has_unnamed() const { return hosts_.empty() || !networks_.empty(); }

 private:
  bool HasClass(AddressClass address_class) const {
    return (classes_ >> static_cast<unsigned>(address_class) & 1) != 0;
  }
  bool HasNetwork(const IpAddress& address) const;

  std::vector<std::string> hosts_;
  std::vector<IpNetwork> networks_;
  uint32_t classes_ = 0;  // One bit each.
  std::vector<PortRange> ports_;
  bool any_port_ = false;
};

// `ranges` sorted, and joined where they touch.
std::vector<PortRange> Joined(std::vector<PortRange> ranges);
// What is in `ranges` and not in `others`; both as Joined makes them.
std::vector<PortRange> Without(const std::vector<PortRange>& ranges, const std::vector<PortRange>& others);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_ADDRESS_SET_H_
