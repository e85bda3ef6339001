#include "server/policy/dev_authorizer.h"

#include "transports/api/error.h"

namespace transportd {

absl::Status DevAuthorizer::Authorize(const Caller& caller, const Access& /*access*/) const {
  if (caller.principal.empty()) {
    return MakeError(absl::StatusCode::kUnauthenticated, "NO_PRINCIPAL", "the caller was not identified");
  }
  return absl::OkStatus();
}

}  // namespace transportd
