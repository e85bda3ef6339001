// Who calls with --dev: everybody is `dev`.
#ifndef TRANSPORTD_SERVER_POLICY_DEV_IDENTIFIER_H_
#define TRANSPORTD_SERVER_POLICY_DEV_IDENTIFIER_H_

#include "server/policy/identifier.h"

namespace transportd {

// Looks at no credentials. Threading: any thread.
class DevIdentifier final : public Identifier {
 public:
  absl::StatusOr<Caller> Identify(const Credentials& credentials) const override;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_DEV_IDENTIFIER_H_
