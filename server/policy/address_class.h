// What an address is: where does it lead?
#ifndef TRANSPORTD_SERVER_POLICY_ADDRESS_CLASS_H_
#define TRANSPORTD_SERVER_POLICY_ADDRESS_CLASS_H_

#include <cstdint>
#include <string_view>

#include "server/policy/action.h"
#include "server/policy/self_addresses.h"
#include "transports/api/address.h"

namespace transportd {

// As AddressClass in proto/transportd/v1/policy.proto, with its numbers.
enum class AddressClass : uint8_t {
  kNone = 0,  // Not an IP address: no policy allows it.
  kSelf = 1,
  kMetadata = 2,
  kWildcard = 3,
  kLoopback = 4,
  kLinkLocal = 5,
  kPrivate = 6,
  kCgnat = 7,
  kMulticast = 8,
  kBroadcast = 9,
  kV4Embedded = 10,
  kReserved = 11,
  kGlobal = 12,
};

// `METADATA`; kNone: `NONE`.
std::string_view AddressClassName(AddressClass address_class);

// The first class that fits. ::ffff:a.b.c.d is a.b.c.d. An IPv6 address in which one of `self` or of the metadata
// services is embedded (NAT64, 6to4, Teredo, ISATAP, ::/96, ::ffff:0:0:0/96) is of that one's class. Port 0 is nobody's
// own, nor is anything with kNone for a protocol: so peers are classified, whose ports mean nothing. Allocates nothing.
// Any thread.
AddressClass Classify(const SocketAddress& address, ActionProtocol protocol, const SelfAddresses& self);
AddressClass Classify(const IpAddress& address, uint16_t port, ActionProtocol protocol, const SelfAddresses& self);

// The IPv4 addresses that an IPv6 address leads to, by any of the ways that embed one. Threading: a value.
struct EmbeddedAddresses {
  static constexpr int kMax = 8;
  IpAddress addresses[kMax];
  int count = 0;

  const IpAddress* begin() const { return addresses; }
  const IpAddress* end() const { return addresses + count; }
};
EmbeddedAddresses EmbeddedIn(const IpAddress& address);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_ADDRESS_CLASS_H_
