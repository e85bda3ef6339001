// Where in the file system a Unix socket is, or is to be.
#ifndef TRANSPORTD_TRANSPORTS_BASE_SOCKET_PLACE_H_
#define TRANSPORTD_TRANSPORTS_BASE_SOCKET_PLACE_H_

#include <fcntl.h>

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/base/sockaddr.h"
#include "transports/base/unique_fd.h"

namespace transportd {

enum class Symlinks { kFollow, kForbid };

// A place to bind a Unix socket at. With symbolic links forbidden its folder is held open: whatever becomes of the path
// meanwhile, everything happens in that folder.
// Threading: a value.
struct SocketPlace {
  UniqueFd folder;   // Invalid: `name` is the path as it was given.
  std::string name;  // In the folder.
  RawAddress raw;    // For bind(2).

  // For the system calls whose names end in `at`.
  int at() const { return folder.valid() ? folder.get() : AT_FDCWD; }
  int stat_flags() const { return folder.valid() ? AT_SYMLINK_NOFOLLOW : 0; }
};

// For `address`, a Unix one; an abstract name is no path. Errors: ToRawAddress's; when links are forbidden the
// kernel's, ELOOP for a link wherever in the path it is, and INVALID_PATH when the path does not end in a name or that
// name does not fit: through its open folder it may have about 85 bytes (unix(7): a path has 108).
absl::StatusOr<SocketPlace> FindSocketPlace(const SocketAddress& address, Symlinks symlinks);

// A Unix socket to connect or send to, that is there. Threading: a value.
struct SocketTarget {
  UniqueFd pin;    // Invalid: `raw` is the path as it was given.
  RawAddress raw;  // For connect(2) and sendmsg(2), as long as the pin is.
};

// As FindSocketPlace; ECONNREFUSED when it is no socket. `operation`: for errors.
absl::StatusOr<SocketTarget> FindSocketTarget(const SocketAddress& address, Symlinks symlinks,
                                              std::string_view operation);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_SOCKET_PLACE_H_
