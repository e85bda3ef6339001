#include "server/ops/listen_address.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/sockaddr.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

// gRPC wants room for a final 0.
constexpr size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;

absl::Status BadAddress(std::string_view text, std::string_view problem) {
  return InvalidArgument(
      "BAD_LISTEN_ADDRESS", "",
      StrCat("--listen=", text, ": ", problem, "; allowed: 127.0.0.1:PORT, [::1]:PORT, unix:PATH, unix-abstract:NAME"));
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

absl::Status SyscallError(const char* operation, const ListenAddress& address, int error_number) {
  return ErrnoToStatus(error_number, operation, address.target);
}

// gRPC removes whatever socket it finds at the path.
absl::Status CheckPath(const ListenAddress& address, int fd, const RawAddress& raw) {
  const std::string& path = address.address.path;
  struct stat info {};
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return MakeError(absl::StatusCode::kAlreadyExists, "EEXIST",
                       StrCat("bind ", address.target, ": the path exists and is no socket"));
    }
    if (connect(fd, raw.get(), raw.length) == 0) return SyscallError("bind", address, EADDRINUSE);
    return absl::OkStatus();  // Left behind by a service that is gone.
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
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kAbstract = "unix-abstract:";
  if (text.starts_with(kUnix)) return ParseUnix(text, text.substr(kUnix.size()));
  if (text.starts_with(kAbstract)) return ParseAbstract(text, text.substr(kAbstract.size()));
  return ParseTcp(text);
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
  if (!path.empty() && path.front() != '\0') return CheckPath(address, fd.get(), *raw);
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
