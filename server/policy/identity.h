// Who calls? The one place that says so.
#ifndef TRANSPORTD_SERVER_POLICY_IDENTITY_H_
#define TRANSPORTD_SERVER_POLICY_IDENTITY_H_

#include <string_view>

#include "server/policy/authorizer.h"

namespace transportd {

// The caller behind a connection; every one is `dev`, for the service runs with --dev only. `peer` is gRPC's, whose
// percent-encoding (`ipv6:%5B::1%5D:4711`) is undone. Any thread.
Caller IdentifyCaller(std::string_view peer);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_IDENTITY_H_
