#include "server/policy/principal.h"

#include <algorithm>
#include <cstddef>

namespace transportd {

bool IsPrincipal(std::string_view text) {
  constexpr size_t kMaxPrincipalBytes = 256;
  return !text.empty() && text.size() <= kMaxPrincipalBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace transportd
