#include "server/listen/listen_address.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "server/policy/principal.h"
#include "transports/api/error.h"
#include "transports/base/sockaddr.h"
#include "transports/base/stale_socket.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

// gRPC wants room for a final 0.
constexpr size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;

absl::Status BadAddress(std::string_view text, std::string_view problem) {
  return InvalidArgument(
      "BAD_LISTEN_ADDRESS", "",
      StrCat(text, ": ", problem,
             "; allowed: ADDRESS:PORT, [ADDRESS]:PORT, unix:PATH, unix-abstract:NAME; behind a comma plaintext (TCP), "
             "principal=NAME, mode=OCTAL, uid=NUMBER (Unix sockets)"));
}

ListenAddress UnixAddress(std::string target, std::string path) {
  ListenAddress address;
  address.target = std::move(target);
  address.address.family = AddressFamily::kUnix;
  address.address.path = std::move(path);
  address.local = true;
  return address;
}

absl::StatusOr<ListenAddress> ParseUnix(std::string_view text, std::string_view path) {
  if (path.empty() || path.find('\0') != path.npos) return BadAddress(text, "the path is empty or holds a byte 0");
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(std::filesystem::path(path), error).string();
  if (error) return BadAddress(text, "the current directory is gone, so a relative path leads nowhere");
  if (absolute.size() > kMaxPathBytes) {
    return BadAddress(text, StrCat("the path has ", absolute.size(), " bytes, at most ", kMaxPathBytes));
  }
  return UnixAddress(StrCat("unix:", absolute), absolute);
}

absl::StatusOr<ListenAddress> ParseAbstract(std::string_view text, std::string_view name) {
  if (name.empty() || name.size() > kMaxPathBytes) {
    return BadAddress(text, StrCat("the name must have 1 to ", kMaxPathBytes, " bytes"));
  }
  return UnixAddress(std::string(text), StrCat(std::string(1, '\0'), name));
}

absl::StatusOr<ListenAddress> ParseTcp(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return BadAddress(text, "no port");
  std::string host(text.substr(0, colon));
  const std::string_view port_text = text.substr(colon + 1);
  uint16_t port = 0;
  const char* port_end = port_text.data() + port_text.size();
  const auto parsed = std::from_chars(port_text.data(), port_end, port);
  if (parsed.ec != std::errc() || parsed.ptr != port_end) return BadAddress(text, "the port is not 0 to 65535");

  ListenAddress address;
  address.address.port = port;
  in_addr v4{};
  in6_addr v6{};
  if (host == "localhost") host = "127.0.0.1";
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    address.address.family = AddressFamily::kInet;
    address.address.host = host;
    address.local = (ntohl(v4.s_addr) >> 24) == 127;
  } else if (host.size() > 2 && host.front() == '[' && host.back() == ']' &&
             inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) == 1) {
    address.address.family = AddressFamily::kInet6;
    address.address.host = host.substr(1, host.size() - 2);
    address.local = IN6_IS_ADDR_LOOPBACK(&v6);
  } else {
    return BadAddress(text, "the host is not a numeric address (IPv6 in brackets)");
  }
  address.target = StrCat(host, ":", port);
  return address;
}

absl::StatusOr<ListenAddress> ParsePlace(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kAbstract = "unix-abstract:";
  if (text.starts_with(kUnix)) return ParseUnix(text, text.substr(kUnix.size()));
  if (text.starts_with(kAbstract)) return ParseAbstract(text, text.substr(kAbstract.size()));
  return ParseTcp(text);
}

// The whole of `text`, of at most `max`.
std::optional<uint32_t> ParseNumber(std::string_view text, int base, uint32_t max) {
  uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, base);
  if (parsed.ec != std::errc() || parsed.ptr != end || number > max) return std::nullopt;
  return number;
}

// What is wrong with `option`; null: nothing, and it is set.
const char* SetOption(std::string_view option, ListenAddress& address) {
  const bool is_unix = address.address.family == AddressFamily::kUnix;
  const size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  const std::string_view value = equals == option.npos ? std::string_view() : option.substr(equals + 1);
  if (option == "plaintext") {
    if (is_unix) return "is for TCP only";
    if (!address.local) return "is for loopback only: whoever is in between could read and change everything";
    address.plaintext = true;
    return nullptr;
  }
  if (name == "principal") {
    if (!is_unix) return "is for Unix sockets only";
    if (!IsPrincipal(value)) return "must name 1 to 256 printable ASCII characters, no space";
    address.principal = std::string(value);
    return nullptr;
  }
  if (name == "mode") {
    if (!is_unix || address.address.path.front() == '\0') return "is for Unix sockets with a path only";
    const std::optional<uint32_t> mode = ParseNumber(value, 8, 0777);
    if (!mode) return "must be 0 to 777, octal";
    address.mode = *mode;
    return nullptr;
  }
  if (name == "uid") {
    if (!is_unix) return "is for Unix sockets only";
    const std::optional<uint32_t> uid = ParseNumber(value, 10, UINT32_MAX - 1);
    if (!uid) return "must be a user's number";
    address.uids.push_back(*uid);
    return nullptr;
  }
  return "is unknown";
}

absl::Status SyscallError(const char* operation, const ListenAddress& address, int error_number) {
  return ErrnoToStatus(error_number, operation, address.target);
}

// Who binds removes whatever socket is at the path.
absl::Status CheckPath(const ListenAddress& address, const RawAddress& raw) {
  const std::string& path = address.address.path;
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return MakeError(absl::StatusCode::kAlreadyExists, "EEXIST",
                       StrCat("bind ", address.target, ": the path exists and is no socket"));
    }
    const absl::StatusOr<bool> is_in_use = IsSocketInUse(raw, address.target);
    if (!is_in_use.ok()) return is_in_use.status();
    // If not: left behind by a service that is gone.
    return *is_in_use ? SyscallError("bind", address, EADDRINUSE) : absl::OkStatus();
  }
  int error_number = errno;
  if (error_number != ENOENT) return SyscallError("bind", address, error_number);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    error_number = errno;
    return SyscallError("bind", address, error_number);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  std::string_view options;
  std::string_view place = text;
  if (const size_t comma = text.find(','); comma != text.npos) {
    place = text.substr(0, comma);
    options = text.substr(comma + 1);
    if (options.empty()) return BadAddress(text, "nothing behind the comma");
  }
  absl::StatusOr<ListenAddress> address = ParsePlace(place);
  if (!address.ok()) return address.status();
  while (!options.empty()) {
    const size_t comma = std::min(options.find(','), options.size());
    const std::string_view option = options.substr(0, comma);
    if (const char* problem = SetOption(option, *address); problem != nullptr) {
      return BadAddress(text, StrCat("`", option, "` ", problem));
    }
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
  return address;
}

absl::Status CheckListenAddress(const ListenAddress& address) {
  const absl::StatusOr<RawAddress> raw = ToRawAddress(address.address);
  if (!raw.ok()) return raw.status();
  UniqueFd fd(socket(AddressFamilyToNumber(address.address.family), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) {
    int error_number = errno;
    return SyscallError("socket", address, error_number);
  }
  const std::string& path = address.address.path;
  if (!path.empty() && path.front() != '\0') return CheckPath(address, *raw);
  const int on = 1;
  // As gRPC does; cannot fail on a socket of ours.
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  // A second listener is noticed by listen, not by bind, when both have SO_REUSEADDR.
  if (bind(fd.get(), raw->get(), raw->length) != 0 || listen(fd.get(), 1) != 0) {
    int error_number = errno;
    return SyscallError("bind", address, error_number);
  }
  return absl::OkStatus();
}

}  // namespace transportd
