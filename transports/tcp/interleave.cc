#include "transports/tcp/interleave.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace transportd {

std::vector<SocketAddress> InterleaveAddresses(std::vector<SocketAddress> addresses, uint32_t first_family_count) {
  if (first_family_count == 0 || addresses.empty()) return addresses;

  std::vector<std::vector<SocketAddress>> families;
  for (SocketAddress& address : addresses) {
    const auto it = std::find_if(families.begin(), families.end(),
                                 [&](const auto& family) { return family.front().family == address.family; });
    if (it == families.end()) {
      families.emplace_back().push_back(std::move(address));
    } else {
      it->push_back(std::move(address));
    }
  }

  // One of the first family's head start is what its first turn takes anyway.
  const size_t head_count = std::min<size_t>(first_family_count - 1, families.front().size());
  std::vector<SocketAddress> ordered;
  ordered.reserve(addresses.size());
  for (size_t i = 0; i < head_count; ++i) ordered.push_back(std::move(families.front()[i]));
  for (size_t turn = 0; ordered.size() < addresses.size(); ++turn) {
    for (size_t i = 0; i < families.size(); ++i) {
      const size_t index = turn + (i == 0 ? head_count : 0);
      if (index < families[i].size()) ordered.push_back(std::move(families[i][index]));
    }
  }
  return ordered;
}

}  // namespace transportd
