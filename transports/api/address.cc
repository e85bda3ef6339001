#include "transports/api/address.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace transportd {

std::string SocketAddress::ToString() const {
  switch (family) {
    case AddressFamily::kInet:
      return absl::StrCat(host, ":", port);
    case AddressFamily::kInet6:
      if (scope_id != 0) return absl::StrCat("[", host, "%", scope_id, "]:", port);
      return absl::StrCat("[", host, "]:", port);
    case AddressFamily::kUnix:
      // Any bytes may be in a path; what is not printable must not reach a terminal or a log line.
      if (path.empty()) return "(unnamed)";
      if (path.front() == '\0') return absl::StrCat("@", absl::CHexEscape(path.substr(1)));
      return absl::CHexEscape(path);
    case AddressFamily::kUnspecified:
      break;
  }
  return "(unspecified)";
}

}  // namespace transportd
