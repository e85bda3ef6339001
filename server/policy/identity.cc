#include "server/policy/identity.h"

#include <optional>
#include <string>

namespace transportd {
namespace {

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

}  // namespace

// RFC 3986, section 2.1; what is no escape stays as it is.
std::string DecodedPeer(std::string_view peer) {
  std::string decoded;
  decoded.reserve(peer.size());
  for (size_t i = 0; i < peer.size(); ++i) {
    if (peer[i] == '%' && i + 2 < peer.size()) {
      const auto high = HexDigit(peer[i + 1]);
      const auto low = HexDigit(peer[i + 2]);
      if (high && low) {
        decoded.push_back(static_cast<char>(*high * 16 + *low));
        i += 2;
        continue;
      }
    }
    decoded.push_back(peer[i]);
  }
  return decoded;
}

Caller IdentifyCaller(std::string_view peer) { return {"dev", DecodedPeer(peer), "dev"}; }

}  // namespace transportd
