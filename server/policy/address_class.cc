#include "server/policy/address_class.h"

#include <algorithm>
#include <array>
#include <optional>

namespace transportd {
namespace {

constexpr uint32_t Quad(unsigned a, unsigned b, unsigned c, unsigned d) { return a << 24 | b << 16 | c << 8 | d; }

struct V4Network {
  uint32_t bits;
  int prefix_bits;
};

constexpr bool Contains(const V4Network& network, uint32_t bits) {
  return network.prefix_bits == 0 || (network.bits ^ bits) >> (32 - network.prefix_bits) == 0;
}

// Of the first 64 bits alone: no prefix below is longer, but for some that are compared by themselves.
struct V6Network {
  uint64_t high;
  int prefix_bits;
};

constexpr bool Contains(const V6Network& network, uint64_t high) {
  return network.prefix_bits == 0 || (network.high ^ high) >> (64 - network.prefix_bits) == 0;
}

template <typename Networks, typename Bits>
bool AnyContains(const Networks& networks, Bits bits) {
  return std::any_of(std::begin(networks), std::end(networks),
                     [&](const auto& network) { return Contains(network, bits); });
}

// The credentials of clouds: Amazon, Google and Azure's agent; Amazon's containers and pods; Alibaba; Azure's host;
// Oracle.
constexpr uint32_t kMetadataV4[] = {
    Quad(169, 254, 169, 254), Quad(169, 254, 170, 2), Quad(169, 254, 170, 23),
    Quad(100, 100, 100, 200), Quad(168, 63, 129, 16), Quad(192, 0, 0, 192),
};
constexpr IpAddress kMetadataV6[] = {
    {.is_v4 = false, .high = 0xfd00'0ec2'0000'0000, .low = 0x254},
    {.is_v4 = false, .high = 0xfd00'0ec2'0000'0000, .low = 0x23},
    {.is_v4 = false, .high = 0xfd20'00ce'0000'0000, .low = 0x254},
};

constexpr V4Network kPrivateV4[] = {{Quad(10, 0, 0, 0), 8}, {Quad(172, 16, 0, 0), 12}, {Quad(192, 168, 0, 0), 16}};
constexpr V6Network kPrivateV6[] = {{0xfc00'0000'0000'0000, 7}, {0xfec0'0000'0000'0000, 10}};

// https://www.iana.org/assignments/iana-ipv4-special-registry: what is not globally reachable and not above, and the
// relays of 6to4, which are deprecated (RFC 7526).
constexpr V4Network kReservedV4[] = {
    {Quad(0, 0, 0, 0), 8},     {Quad(192, 0, 0, 0), 24},    {Quad(192, 0, 2, 0), 24},   {Quad(192, 88, 99, 0), 24},
    {Quad(198, 18, 0, 0), 15}, {Quad(198, 51, 100, 0), 24}, {Quad(203, 0, 113, 0), 24}, {Quad(240, 0, 0, 0), 4},
};
// Anycast of PCP (RFC 7723) and TURN (RFC 8155), inside 192.0.0.0/24.
constexpr uint32_t kGlobalV4[] = {Quad(192, 0, 0, 9), Quad(192, 0, 0, 10)};

// https://www.iana.org/assignments/iana-ipv6-special-registry: the same, of what is in 2000::/3.
constexpr V6Network kReservedV6[] = {
    {0x2001'0000'0000'0000, 23}, {0x2001'0db8'0000'0000, 32}, {0x3fff'0000'0000'0000, 20}};
// AMT (RFC 7450), AS112 (RFC 7535), ORCHIDv2 (RFC 7343), DRIP (RFC 9374), inside 2001::/23.
constexpr V6Network kGlobalV6[] = {
    {0x2001'0003'0000'0000, 32}, {0x2001'0004'0112'0000, 48}, {0x2001'0020'0000'0000, 28}, {0x2001'0030'0000'0000, 28}};
constexpr V6Network kUnicastV6 = {0x2000'0000'0000'0000, 3};

constexpr V6Network kNat64 = {0x0064'ff9b'0000'0000, 64};       // And 32 bits of 0: RFC 6052.
constexpr V6Network kLocalNat64 = {0x0064'ff9b'0001'0000, 48};  // RFC 8215.
constexpr V6Network k6to4 = {0x2002'0000'0000'0000, 16};        // RFC 3056.
constexpr V6Network kTeredo = {0x2001'0000'0000'0000, 32};      // RFC 4380.
constexpr uint64_t kTranslatedPrefix = 0xffff'0000;             // Bits 64 to 95 of ::ffff:0:0:0/96 (RFC 2765).
constexpr uint32_t kIsatap = 0x5efe;                            // RFC 5214: bits 64 to 95, with or without the u bit.
constexpr uint32_t kIsatapUniversal = 0x0200'5efe;

uint32_t LowHalf(uint64_t bits) { return static_cast<uint32_t>(bits); }
uint32_t HighHalf(uint64_t bits) { return static_cast<uint32_t>(bits >> 32); }

bool IsMetadata(const IpAddress& address) {
  if (address.is_v4) {
    return std::find(std::begin(kMetadataV4), std::end(kMetadataV4), LowHalf(address.low)) != std::end(kMetadataV4);
  }
  return std::find(std::begin(kMetadataV6), std::end(kMetadataV6), address) != std::end(kMetadataV6);
}

AddressClass ClassifyV4(uint32_t bits) {
  if (Contains(V4Network{Quad(169, 254, 0, 0), 16}, bits)) return AddressClass::kLinkLocal;
  if (AnyContains(kPrivateV4, bits)) return AddressClass::kPrivate;
  if (Contains(V4Network{Quad(100, 64, 0, 0), 10}, bits)) return AddressClass::kCgnat;
  if (Contains(V4Network{Quad(224, 0, 0, 0), 4}, bits)) return AddressClass::kMulticast;
  if (bits == ~uint32_t{0}) return AddressClass::kBroadcast;
  if (std::find(std::begin(kGlobalV4), std::end(kGlobalV4), bits) != std::end(kGlobalV4)) return AddressClass::kGlobal;
  return AnyContains(kReservedV4, bits) ? AddressClass::kReserved : AddressClass::kGlobal;
}

// The ways of which the registries know, or that every address of theirs shows.
bool IsV4Embedded(const IpAddress& address) {
  const bool is_nat64 = Contains(kNat64, address.high) && HighHalf(address.low) == 0;
  const bool is_compatible = address.high == 0 && HighHalf(address.low) == 0;
  const bool is_isatap = HighHalf(address.low) == kIsatap || HighHalf(address.low) == kIsatapUniversal;
  return is_nat64 || is_compatible || is_isatap || Contains(kLocalNat64, address.high) ||
         Contains(k6to4, address.high) || Contains(kTeredo, address.high);
}

AddressClass ClassifyV6(const IpAddress& address) {
  if (Contains(V6Network{0xfe80'0000'0000'0000, 10}, address.high)) return AddressClass::kLinkLocal;
  if (AnyContains(kPrivateV6, address.high)) return AddressClass::kPrivate;
  if (address.high >> 56 == 0xff) return AddressClass::kMulticast;
  if (IsV4Embedded(address)) return AddressClass::kV4Embedded;
  if (!Contains(kUnicastV6, address.high)) return AddressClass::kReserved;
  if (AnyContains(kGlobalV6, address.high)) return AddressClass::kGlobal;
  // Port Control, TURN and DNS-SD's anycast: 2001:1::1 to ::3 (RFC 7723, 8155, 9665).
  if (address.high == 0x2001'0001'0000'0000 && address.low >= 1 && address.low <= 3) return AddressClass::kGlobal;
  return AnyContains(kReservedV6, address.high) ? AddressClass::kReserved : AddressClass::kGlobal;
}

}  // namespace

std::string_view AddressClassName(AddressClass address_class) {
  constexpr std::array<std::string_view, 13> kNames = {"NONE",        "SELF",     "METADATA", "WILDCARD",  "LOOPBACK",
                                                       "LINK_LOCAL",  "PRIVATE",  "CGNAT",    "MULTICAST", "BROADCAST",
                                                       "V4_EMBEDDED", "RESERVED", "GLOBAL"};
  const auto index = static_cast<size_t>(address_class);
  return index < kNames.size() ? kNames[index] : kNames[0];
}

EmbeddedAddresses EmbeddedIn(const IpAddress& address) {
  EmbeddedAddresses out;
  if (address.is_v4) return out;
  const uint64_t high = address.high;
  const uint64_t low = address.low;
  const auto add = [&](uint64_t bits) { out.addresses[out.count++] = IpAddress::V4(LowHalf(bits)); };
  const bool is_last = (Contains(kNat64, high) && HighHalf(low) == 0) || (high == 0 && HighHalf(low) == 0 && low > 1) ||
                       (high == 0 && HighHalf(low) == kTranslatedPrefix) || HighHalf(low) == kIsatap ||
                       HighHalf(low) == kIsatapUniversal;
  if (is_last) add(low);
  if (Contains(k6to4, high)) add(high >> 16);
  if (Contains(kTeredo, high)) {
    add(high);  // The server.
    add(~low);  // The client, all bits inverted.
  }
  if (Contains(kLocalNat64, high)) {
    // Whoever runs the translator chose the prefix: RFC 6052, section 2.2, for /48, /56, /64 and /96. Bits 64 to 71 are
    // 0.
    add((high & 0xffff) << 16 | (low >> 40 & 0xffff));
    add((high & 0xff) << 24 | (low >> 32 & 0xff'ffff));
    add(low >> 24);
    add(low);
  }
  return out;
}

AddressClass Classify(const IpAddress& address, uint16_t port, ActionProtocol protocol, const SelfAddresses& self) {
  const EmbeddedAddresses embedded = EmbeddedIn(address);
  const auto is_any = [&](auto is) { return is(address) || std::any_of(embedded.begin(), embedded.end(), is); };
  if (is_any([&](const IpAddress& one) { return self.Contains(one, port, protocol); })) return AddressClass::kSelf;
  if (is_any(IsMetadata)) return AddressClass::kMetadata;
  if (address.IsWildcard()) return AddressClass::kWildcard;
  if (address.IsLoopback()) return AddressClass::kLoopback;
  return address.is_v4 ? ClassifyV4(LowHalf(address.low)) : ClassifyV6(address);
}

AddressClass Classify(const SocketAddress& address, ActionProtocol protocol, const SelfAddresses& self) {
  const std::optional<IpAddress> ip = IpAddress::From(address);
  return ip ? Classify(*ip, address.port, protocol, self) : AddressClass::kNone;
}

}  // namespace transportd
