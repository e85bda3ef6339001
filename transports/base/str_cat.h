// absl::StrCat for std::string_view.
//
// The packaged Abseil is built for C++14, where absl::string_view is a type of its own and std::string_view does not
// convert to it.
#ifndef TRANSPORTD_TRANSPORTS_BASE_STR_CAT_H_
#define TRANSPORTD_TRANSPORTS_BASE_STR_CAT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace transportd {

inline absl::string_view ToAbsl(std::string_view text) { return absl::string_view(text.data(), text.size()); }

// The parts, joined: text and numbers, as absl::StrCat.
template <typename... Parts>
std::string StrCat(const Parts&... parts) {
  auto adapt = [](const auto& part) -> decltype(auto) {
    if constexpr (std::is_convertible_v<decltype(part), std::string_view>) {
      return ToAbsl(part);
    } else {
      return absl::AlphaNum(part);
    }
  };
  return absl::StrCat(adapt(parts)...);
}

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_STR_CAT_H_
