#include "server/policy/dev_identifier.h"

#include "server/policy/identity.h"

namespace transportd {

absl::StatusOr<Caller> DevIdentifier::Identify(const Credentials& credentials) const {
  return IdentifyCaller(credentials.peer);
}

}  // namespace transportd
