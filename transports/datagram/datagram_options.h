// What may be asked of create_datagram_endpoint.
#ifndef TRANSPORTD_TRANSPORTS_DATAGRAM_DATAGRAM_OPTIONS_H_
#define TRANSPORTD_TRANSPORTS_DATAGRAM_DATAGRAM_OPTIONS_H_

#include "absl/status/status.h"
#include "transports/api/datagram.h"

namespace transportd {

// INVALID_ARGUMENT with a reason and the field's name, as CreateDatagramEndpointRequest in
// proto/transportd/v1/datagram.proto has it: INVALID_HOST, INVALID_PORT, INVALID_PATH, INVALID_FAMILY, INVALID_PROTO,
// INVALID_FLAGS, INVALID_TIMEOUT, INVALID_LIMITS. Resolves nothing.
absl::Status ValidateCreateDatagramEndpoint(const CreateDatagramEndpointOptions& options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_DATAGRAM_DATAGRAM_OPTIONS_H_
