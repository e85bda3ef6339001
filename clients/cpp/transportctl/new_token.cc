#include "clients/cpp/transportctl/new_token.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/escaping.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {

NewToken MakeToken() {
  std::string bits(32, '\0');
  ssize_t size = 0;
  // So few come whole, but for a signal before there is randomness at all: getrandom(2).
  do {
    size = ::getrandom(bits.data(), bits.size(), 0);
  } while (size < 0 && errno == EINTR);
  CHECK(size == static_cast<ssize_t>(bits.size()));
  NewToken made;
  // RFC 4648, section 5; this one writes no padding.
  made.token = StrCat("transportd_", absl::WebSafeBase64Escape(bits));
  std::string hash(32, '\0');
  CHECK(EVP_Digest(made.token.data(), made.token.size(), reinterpret_cast<unsigned char*>(hash.data()), nullptr,
                   EVP_sha256(), nullptr) == 1);
  made.sha256 = absl::BytesToHexString(hash);
  return made;
}

bool IsPrincipalName(std::string_view name) {
  return !name.empty() && name.size() <= 256 &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string TokenEntry(std::string_view principal, std::string_view sha256) {
  return StrCat("token { principal: \"", absl::CEscape(ToAbsl(principal)), "\" sha256: \"", sha256, "\" }");
}

}  // namespace transportd::ctl
