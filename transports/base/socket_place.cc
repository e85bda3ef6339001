#include "transports/base/socket_place.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/gated_path.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

bool IsPath(const SocketAddress& address) { return !address.path.empty() && address.path.front() != '\0'; }

}  // namespace

absl::StatusOr<SocketPlace> FindSocketPlace(const SocketAddress& address, Symlinks symlinks) {
  absl::StatusOr<RawAddress> raw = ToRawAddress(address);
  if (!raw.ok()) return raw.status();
  if (symlinks == Symlinks::kFollow || !IsPath(address)) {
    return SocketPlace{.folder = {}, .name = address.path, .raw = *raw};
  }
  const std::string& path = address.path;
  const size_t slash = path.rfind('/');
  SocketPlace place;
  place.name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (place.name.empty() || place.name == "." || place.name == "..") {
    return InvalidArgument("INVALID_PATH", "path", "ends with the name of the socket's file");
  }
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  absl::StatusOr<UniqueFd> pin = PinPath(folder, "bind", address.ToString());
  if (!pin.ok()) return pin.status();
  place.folder = *std::move(pin);

  const std::string in_folder = StrCat(PinnedName(place.folder.get()), "/");
  if (constexpr size_t kMaxBytes = sizeof(sockaddr_un::sun_path); in_folder.size() + place.name.size() > kMaxBytes) {
    return InvalidArgument("INVALID_PATH", "path",
                           StrCat("without symbolic links the name of the socket's file has at most ",
                                  kMaxBytes - in_folder.size(), " bytes, not ", place.name.size()));
  }
  raw = ToRawAddress({.family = AddressFamily::kUnix, .path = in_folder + place.name});
  if (!raw.ok()) return raw.status();
  place.raw = *raw;

  // bind(2) would not follow it either, and say EADDRINUSE.
  struct stat status {};
  if (::fstatat(place.at(), place.name.c_str(), &status, place.stat_flags()) == 0 && S_ISLNK(status.st_mode)) {
    return ErrnoToStatus(ELOOP, "bind", address.ToString());
  }
  return place;
}

absl::StatusOr<SocketTarget> FindSocketTarget(const SocketAddress& address, Symlinks symlinks,
                                              std::string_view operation) {
  absl::StatusOr<RawAddress> raw = ToRawAddress(address);
  if (!raw.ok()) return raw.status();
  if (symlinks == Symlinks::kFollow || !IsPath(address)) return SocketTarget{.pin = {}, .raw = *raw};
  absl::StatusOr<UniqueFd> pin = PinPath(address.path, operation, address.ToString());
  if (!pin.ok()) return pin.status();
  struct stat status {};
  if (::fstat(pin->get(), &status) != 0) {
    const int err = errno;
    return ErrnoToStatus(err, operation, address.ToString());
  }
  if (!S_ISSOCK(status.st_mode)) return ErrnoToStatus(ECONNREFUSED, operation, address.ToString());
  raw = ToRawAddress({.family = AddressFamily::kUnix, .path = PinnedName(pin->get())});
  if (!raw.ok()) return raw.status();
  return SocketTarget{.pin = *std::move(pin), .raw = *raw};
}

}  // namespace transportd
