// Paths that lead where they say: openat2(2).
#ifndef TRANSPORTD_TRANSPORTS_BASE_GATED_PATH_H_
#define TRANSPORTD_TRANSPORTS_BASE_GATED_PATH_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/socket_gate.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// Null: everything is allowed.
inline bool ForbidsSymlinks(const SocketGate* gate) { return gate != nullptr && gate->ForbidsSymlinks(); }

// What `path` names, a folder, a file or a socket, open for nothing but being named (open(2), O_PATH). No symbolic
// link is followed, wherever in the path it is, nor any of proc(5)'s magic links: ELOOP. The kernel's other errors;
// ENOSYS from a kernel without openat2 (before Linux 5.6). `operation` and `shown_path` are for errors. Any thread.
absl::StatusOr<UniqueFd> PinPath(const std::string& path, std::string_view operation, std::string_view shown_path);

// A name, in proc(5), of what `fd` is open for: it leads there whatever becomes of the path.
std::string PinnedName(int fd);

// A path to open. Threading: a value.
struct AllowedPath {
  UniqueFd pin;      // Invalid: `path` is what was asked for.
  std::string path;  // For stat(2) and open(2), as long as the pin is.
};

// Asks `gate`, when there is one, whether `path` may be opened, and pins it when symbolic links are forbidden. The
// gate's refusal; what PinPath fails with. Any thread.
absl::StatusOr<AllowedPath> AllowToOpen(const std::string& path, bool is_write, SocketGate* gate,
                                        std::string_view shown_path);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_GATED_PATH_H_
