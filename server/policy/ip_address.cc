#include "server/policy/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace transportd {
namespace {

constexpr uint64_t kMappedPrefix = 0xffff;  // Bits 64 to 95 of ::ffff:0:0/96.

uint64_t BigEndian(const unsigned char* bytes, int count) {
  uint64_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

// inet_pton(3) reads to a byte 0, which a view need not have.
constexpr size_t kMaxTextBytes = INET6_ADDRSTRLEN;

std::optional<IpAddress> ParseAs(int family, std::string_view text) {
  char buffer[kMaxTextBytes + 1];
  if (text.empty() || text.size() > kMaxTextBytes || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  unsigned char bytes[sizeof(in6_addr)];
  if (::inet_pton(family, buffer, bytes) != 1) return std::nullopt;
  if (family == AF_INET) return IpAddress::V4(static_cast<uint32_t>(BigEndian(bytes, 4)));
  const uint64_t high = BigEndian(bytes, 8);
  const uint64_t low = BigEndian(bytes + 8, 8);
  if (high == 0 && low >> 32 == kMappedPrefix) return IpAddress::V4(static_cast<uint32_t>(low));
  return IpAddress{.is_v4 = false, .high = high, .low = low};
}

// The first `bits` of 64 set.
constexpr uint64_t Mask(int bits) { return bits <= 0 ? 0 : ~uint64_t{0} << (64 - std::min(bits, 64)); }

// A network's mask, of IPv4 in the lowest 32 bits.
struct Masks {
  uint64_t high;
  uint64_t low;
};
Masks MasksOf(const IpNetwork& network) {
  if (network.address.is_v4) return {~uint64_t{0}, Mask(network.prefix_bits + 32)};
  return {Mask(network.prefix_bits), Mask(network.prefix_bits - 64)};
}

}  // namespace

std::optional<IpAddress> IpAddress::From(const SocketAddress& address) {
  const std::string_view host = address.host;
  if (address.family == AddressFamily::kInet) return ParseAs(AF_INET, host);
  if (address.family == AddressFamily::kInet6) return ParseAs(AF_INET6, host.substr(0, host.find('%')));
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  return ParseAs(text.find(':') == std::string_view::npos ? AF_INET : AF_INET6, text);
}

bool IpNetwork::Contains(const IpAddress& other) const {
  if (address.is_v4 != other.is_v4) return false;
  const Masks masks = MasksOf(*this);
  return ((address.high ^ other.high) & masks.high) == 0 && ((address.low ^ other.low) & masks.low) == 0;
}

bool IpNetwork::IsCanonical() const {
  const Masks masks = MasksOf(*this);
  return (address.high & ~masks.high) == 0 && (address.low & ~masks.low) == 0;
}

std::optional<IpNetwork> IpNetwork::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const std::optional<IpAddress> address = IpAddress::Parse(host);
  if (!address) return std::nullopt;
  const bool is_mapped = address->is_v4 && host.find(':') != std::string_view::npos;
  const int max_bits = address->is_v4 && !is_mapped ? 32 : 128;
  int bits = max_bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const bool has_zero = digits.size() > 1 && digits.front() == '0';
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    const bool is_number = !digits.empty() && error == std::errc() && end == digits.data() + digits.size();
    if (!is_number || has_zero || bits < 0 || bits > max_bits) return std::nullopt;
  }
  // A larger network with IPv4 in it would be two.
  if (is_mapped && bits < 96) return std::nullopt;
  return IpNetwork{.address = *address, .prefix_bits = is_mapped ? bits - 96 : bits};
}

}  // namespace transportd
