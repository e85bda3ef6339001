// What may be asked of create_unix_connection and create_unix_server.
#ifndef TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_OPTIONS_H_
#define TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_OPTIONS_H_

#include "absl/status/status.h"
#include "transports/api/unix.h"

namespace transportd {

// INVALID_ARGUMENT with a reason and the field's name, as CreateUnixConnectionRequest and CreateUnixServerRequest in
// proto/transportd/v1/unix.proto have it: INVALID_PATH, INVALID_SOCKET, INVALID_TIMEOUT, INVALID_BACKLOG, INVALID_MODE,
// INVALID_LIMITS.
absl::Status ValidateCreateUnixConnection(const CreateUnixConnectionOptions& options);
absl::Status ValidateCreateUnixServer(const CreateUnixServerOptions& options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_OPTIONS_H_
