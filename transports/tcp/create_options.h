// What may be asked of create_connection and create_server.
#ifndef TRANSPORTD_TRANSPORTS_TCP_CREATE_OPTIONS_H_
#define TRANSPORTD_TRANSPORTS_TCP_CREATE_OPTIONS_H_

#include "absl/status/status.h"
#include "transports/api/event_loop.h"

namespace transportd {

// INVALID_ARGUMENT with a reason and the field's name, as CreateConnectionRequest and CreateServerRequest in
// proto/transportd/v1/event_loop.proto have it: INVALID_HOST, INVALID_PORT, INVALID_FAMILY, INVALID_FLAGS,
// INVALID_PROTO, INVALID_TIMEOUT, INVALID_INTERLEAVE, INVALID_BACKLOG, INVALID_LIMITS, INVALID_SOCKET. Resolves
// nothing.
absl::Status ValidateCreateConnection(const CreateConnectionOptions& options);
absl::Status ValidateCreateServer(const CreateServerOptions& options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_CREATE_OPTIONS_H_
