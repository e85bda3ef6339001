// IP addresses and networks as numbers.
#ifndef TRANSPORTD_SERVER_POLICY_IP_ADDRESS_H_
#define TRANSPORTD_SERVER_POLICY_IP_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>

#include "transports/api/address.h"

namespace transportd {

// One address. ::ffff:0:0/96 is the IPv4 address in it (RFC 4291, section 2.5.5.2), here and everywhere below: the
// kernel sends to that. Threading: a value.
struct IpAddress {
  bool is_v4 = false;
  uint64_t high = 0;  // Of IPv4: 0.
  uint64_t low = 0;   // Of IPv4: its 32 bits.

  // Of a socket's address: the number that inet_pton(3) gives, which takes no octal, hexadecimal or short form. A scope
  // behind `%` is passed over. Unset: no number of its family, or neither kInet nor kInet6. Allocates nothing.
  static std::optional<IpAddress> From(const SocketAddress& address);
  // Of either family.
  static std::optional<IpAddress> Parse(std::string_view text);

  // 0.0.0.0 and ::.
  bool IsWildcard() const { return high == 0 && low == 0; }
  // 127.0.0.0/8 and ::1.
  bool IsLoopback() const { return is_v4 ? low >> 24 == 127 : high == 0 && low == 1; }

  static constexpr IpAddress V4(uint32_t bits) { return {.is_v4 = true, .high = 0, .low = bits}; }

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend bool operator<(const IpAddress& a, const IpAddress& b) {
    return std::tie(a.is_v4, a.high, a.low) < std::tie(b.is_v4, b.high, b.low);
  }
};

// The addresses that begin with the same bits. Threading: a value.
struct IpNetwork {
  IpAddress address = {};
  int prefix_bits = 0;  // 0 to 32, or to 128.

  // An address of the other family never is: ::/0 has no IPv4 address in it.
  bool Contains(const IpAddress& other) const;
  // No bit behind the prefix is set.
  bool IsCanonical() const;
  // `10.0.0.0/8`, `fd00::/8`, or an address alone. Unset: neither. One below ::ffff:0:0/96 is the IPv4 network.
  static std::optional<IpNetwork> Parse(std::string_view text);
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_IP_ADDRESS_H_
