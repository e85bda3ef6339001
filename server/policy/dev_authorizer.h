// The policy of --dev: everything is allowed.
#ifndef TRANSPORTD_SERVER_POLICY_DEV_AUTHORIZER_H_
#define TRANSPORTD_SERVER_POLICY_DEV_AUTHORIZER_H_

#include "server/policy/authorizer.h"

namespace transportd {

// For local use: the listeners, which are loopback and Unix sockets only, are the boundary. Threading: any thread.
class DevAuthorizer final : public Authorizer {
 public:
  absl::Status Authorize(const Caller& caller, const Access& access) const override;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_DEV_AUTHORIZER_H_
