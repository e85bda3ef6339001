#include "transports/resolver/lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>

#include "transports/api/error.h"
#include "transports/base/sockaddr.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr size_t kMaxHostBytes = 253;  // RFC 1035 §2.3.4: 255 octets on the wire, 253 as text.
constexpr size_t kMaxScopeBytes = 64;  // With the %.
constexpr uint32_t kMaxPort = 65535;

struct GaiError {
  int gai_code;
  std::string_view name;
  absl::StatusCode status_code;
};

constexpr GaiError kGaiErrors[] = {
    {EAI_NONAME, "EAI_NONAME", absl::StatusCode::kNotFound},
    {EAI_NODATA, "EAI_NODATA", absl::StatusCode::kNotFound},
    {EAI_ADDRFAMILY, "EAI_ADDRFAMILY", absl::StatusCode::kNotFound},
    {EAI_AGAIN, "EAI_AGAIN", absl::StatusCode::kUnavailable},
    {EAI_FAIL, "EAI_FAIL", absl::StatusCode::kFailedPrecondition},
    {EAI_MEMORY, "EAI_MEMORY", absl::StatusCode::kResourceExhausted},
    {EAI_BADFLAGS, "EAI_BADFLAGS", absl::StatusCode::kInvalidArgument},
    {EAI_FAMILY, "EAI_FAMILY", absl::StatusCode::kInvalidArgument},
    {EAI_SOCKTYPE, "EAI_SOCKTYPE", absl::StatusCode::kInvalidArgument},
    {EAI_SERVICE, "EAI_SERVICE", absl::StatusCode::kInvalidArgument},
    {EAI_OVERFLOW, "EAI_OVERFLOW", absl::StatusCode::kInvalidArgument},
    {EAI_IDN_ENCODE, "EAI_IDN_ENCODE", absl::StatusCode::kInvalidArgument},
};

struct Answer {
  int gai_code = 0;
  int error_number = 0;
  std::vector<SocketAddress> addresses;
};

Answer CallGetaddrinfo(const ResolveRequest& request, int extra_flags) {
  addrinfo hints{};
  hints.ai_family = AddressFamilyToNumber(request.family);
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = request.proto;
  hints.ai_flags = request.flags | extra_flags | AI_NUMERICSERV;
  const std::string port = StrCat(request.address.port.value_or(0));
  addrinfo* list = nullptr;
  Answer answer;
  errno = 0;
  answer.gai_code = ::getaddrinfo(request.address.host.has_value() ? request.address.host->c_str() : nullptr,
                                  port.c_str(), &hints, &list);
  answer.error_number = errno;
  if (answer.gai_code != 0) return answer;
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    SocketAddress address = FromRawAddress(entry->ai_addr, entry->ai_addrlen);
    if (address.family != AddressFamily::kUnspecified) answer.addresses.push_back(std::move(address));
  }
  // Families that nothing here can use are as good as no address.
  if (answer.addresses.empty()) answer.gai_code = EAI_NODATA;
  return answer;
}

absl::StatusOr<std::vector<SocketAddress>> ToResult(Answer answer, const ResolveRequest& request) {
  if (answer.gai_code != 0) {
    return GaiToStatus(answer.gai_code, answer.error_number, "getaddrinfo", request.address.host.value_or(""));
  }
  return std::move(answer.addresses);
}

}  // namespace

absl::Status ValidateRequest(const ResolveRequest& request) {
  if (request.address.port.value_or(0) > kMaxPort) {
    return InvalidArgument("INVALID_PORT", "port",
                           StrCat("port is ", *request.address.port, ", must be from 0 to ", kMaxPort));
  }
  if (!request.address.host.has_value()) return absl::OkStatus();
  const std::string& host = *request.address.host;
  if (host.empty()) return InvalidArgument("INVALID_HOST", "host", "host is empty");
  if (host.find('\0') != std::string::npos) return InvalidArgument("INVALID_HOST", "host", "host holds a byte 0");
  // The scope's name is the interface's, and has a bound of its own.
  const size_t host_bytes = std::min(host.find('%'), host.size());
  const size_t scope_bytes = host.size() - host_bytes;
  if (host_bytes > kMaxHostBytes) {
    return InvalidArgument("INVALID_HOST", "host",
                           StrCat("host has ", host_bytes, " bytes, must have at most ", kMaxHostBytes));
  }
  if (scope_bytes > kMaxScopeBytes) {
    return InvalidArgument("INVALID_HOST", "host",
                           StrCat("scope has ", scope_bytes, " bytes, must have at most ", kMaxScopeBytes));
  }
  return absl::OkStatus();
}

std::optional<absl::StatusOr<std::vector<SocketAddress>>> LookUpNumeric(const ResolveRequest& request) {
  // getaddrinfo itself knows best what it takes for a number (127.1, fe80::1%eth0): asked for nothing else, it answers
  // EAI_NONAME for a name.
  const bool has_host = request.address.host.has_value();
  Answer answer = CallGetaddrinfo(request, has_host ? AI_NUMERICHOST : 0);
  if (has_host && answer.gai_code == EAI_NONAME && (request.flags & AI_NUMERICHOST) == 0) return std::nullopt;
  return ToResult(std::move(answer), request);
}

absl::StatusOr<std::vector<SocketAddress>> LookUpName(const ResolveRequest& request) {
  return ToResult(CallGetaddrinfo(request, 0), request);
}

absl::Status GaiToStatus(int gai_code, int error_number, std::string_view operation, std::string_view address) {
  // Without descriptors glibc reads no file and asks no server, and says that there is no such name.
  const bool is_exhausted = error_number == EMFILE || error_number == ENFILE;
  if ((gai_code == EAI_SYSTEM && error_number != 0) || is_exhausted) {
    TransportError error = ToTransportError(ErrnoToStatus(error_number, operation, address));
    error.gai_code = EAI_SYSTEM;
    return ToStatus(error);
  }
  TransportError error;
  error.code = absl::StatusCode::kUnknown;
  error.reason = StrCat("EAI_", -gai_code);
  for (const GaiError& known : kGaiErrors) {
    if (known.gai_code != gai_code) continue;
    error.code = known.status_code;
    error.reason = std::string(known.name);
  }
  error.message = StrCat(operation, address.empty() ? "" : " ", address, ": ", ::gai_strerror(gai_code));
  error.address = std::string(address);
  error.operation = std::string(operation);
  error.gai_code = gai_code;
  return ToStatus(error);
}

}  // namespace transportd
