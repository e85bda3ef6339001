#include "transports/resolver/name_lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/resolver/lookup.h"

namespace transportd {
namespace {

// NI_MAXHOST, less its final 0: longer than any name service takes.
constexpr size_t kMaxNameBytes = NI_MAXHOST - 1;

absl::Status ValidateName(const std::optional<std::string>& name, std::string_view reason, std::string_view field) {
  if (!name.has_value()) return absl::OkStatus();
  if (name->find('\0') != std::string::npos) return InvalidArgument(reason, field, "holds a byte 0");
  if (name->size() > kMaxNameBytes) {
    return InvalidArgument(reason, field, StrCat("has ", name->size(), " bytes, must have at most ", kMaxNameBytes));
  }
  return absl::OkStatus();
}

const char* CStringOrNull(const std::optional<std::string>& text) { return text.has_value() ? text->c_str() : nullptr; }

}  // namespace

absl::Status ValidateGetaddrinfo(const GetaddrinfoOptions& request) {
  if (!IsAddressFamily(request.family)) {
    return InvalidArgument("INVALID_FAMILY", "family", "INET, INET6, UNIX or unspecified");
  }
  if (absl::Status status = ValidateName(request.host, "INVALID_HOST", "host"); !status.ok()) return status;
  return ValidateName(request.port, "INVALID_PORT", "port");
}

absl::StatusOr<std::vector<AddressInfo>> LookUpAddressInfo(const GetaddrinfoOptions& request) {
  addrinfo hints{};
  hints.ai_family = AddressFamilyToNumber(request.family);
  hints.ai_socktype = static_cast<int>(request.type);
  hints.ai_protocol = request.proto;
  hints.ai_flags = request.flags;
  addrinfo* list = nullptr;
  errno = 0;
  const int gai_code = ::getaddrinfo(CStringOrNull(request.host), CStringOrNull(request.port), &hints, &list);
  const int err = errno;
  if (gai_code != 0) {
    return GaiToStatus(gai_code, err, "getaddrinfo", request.host.value_or(request.port.value_or("")));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  std::vector<AddressInfo> infos;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const AddressFamily family = AddressFamilyFromNumber(entry->ai_family);
    if (family == AddressFamily::kUnspecified) continue;
    infos.push_back({.family = family,
                     .type = static_cast<SocketType>(entry->ai_socktype),
                     .proto = entry->ai_protocol,
                     .canonname = entry->ai_canonname != nullptr ? entry->ai_canonname : "",
                     .address = FromRawAddress(entry->ai_addr, entry->ai_addrlen)});
  }
  return infos;
}

absl::StatusOr<RawAddress> ToNamedAddress(const SocketAddress& address) {
  if (address.family != AddressFamily::kInet && address.family != AddressFamily::kInet6) {
    return InvalidArgument("INVALID_FAMILY", "family", "only INET and INET6 addresses have names");
  }
  return ToRawAddress(address);
}

absl::StatusOr<NameInfo> LookUpNameInfo(const RawAddress& address, int flags) {
  char host[NI_MAXHOST];
  char service[NI_MAXSERV];
  errno = 0;
  const int gai_code =
      ::getnameinfo(address.get(), address.length, host, sizeof(host), service, sizeof(service), flags);
  const int err = errno;
  if (gai_code != 0) {
    return GaiToStatus(gai_code, err, "getnameinfo", FromRawAddress(address.get(), address.length).ToString());
  }
  return NameInfo{.host = host, .service = service};
}

}  // namespace transportd
