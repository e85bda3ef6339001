// What a transport answers when its socket is gone.
#ifndef TRANSPORTD_TRANSPORTS_BASE_TRANSPORT_LOST_H_
#define TRANSPORTD_TRANSPORTS_BASE_TRANSPORT_LOST_H_

#include "absl/status/status.h"
#include "transports/api/error.h"

namespace transportd {

inline absl::Status TransportLost() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_LOST", "the connection is lost");
}

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_TRANSPORT_LOST_H_
