#include "transports/unix/create_unix_options.h"

#include <optional>
#include <string>

#include "transports/api/error.h"
#include "transports/base/create_arguments.h"
#include "transports/base/owned_socket.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

constexpr uint32_t kMaxMode = 0777;

// One of the two, and that a good one.
absl::Status ValidateWhere(const std::optional<std::string>& path, const ExistingSocket* sock) {
  if (sock != nullptr) {
    if (path) return InvalidArgument("INVALID_SOCKET", "sock", "path and sock can not be specified at the same time");
    return ValidateSocket(sock, {.family = AddressFamily::kUnix});
  }
  if (!path || path->empty()) return InvalidArgument("INVALID_PATH", "path", "a path or a socket is needed");
  return ToRawAddress({.family = AddressFamily::kUnix, .path = *path}).status();
}

}  // namespace

absl::Status ValidateCreateUnixConnection(const CreateUnixConnectionOptions& options) {
  return FirstError({
      ValidateWhere(options.path, options.sock.get()),
      ValidateCreateTimeout(options.timeout),
      ResolveWriteBufferLimits(options.write_buffer_limits).status(),
  });
}

absl::Status ValidateCreateUnixServer(const CreateUnixServerOptions& options) {
  absl::Status status = FirstError({
      ValidateWhere(options.path, options.sock.get()),
      ValidateBacklog(options.backlog),
      ResolveWriteBufferLimits(options.write_buffer_limits).status(),
  });
  if (!status.ok()) return status;
  if (!options.mode) return absl::OkStatus();
  if (*options.mode > kMaxMode) return InvalidArgument("INVALID_MODE", "mode", "permission bits, at most 0777");
  if (!options.path || options.path->front() == '\0') {
    return InvalidArgument("INVALID_MODE", "mode", "only the file of a path has permissions");
  }
  return absl::OkStatus();
}

}  // namespace transportd
