// Asks the policy about every call and every command.
#ifndef TRANSPORTD_SERVER_POLICY_POLICY_AUTHORIZER_H_
#define TRANSPORTD_SERVER_POLICY_POLICY_AUTHORIZER_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/policy/authorizer.h"
#include "server/policy/policy_guard.h"
#include "server/policy/session_guard.h"

namespace transportd {

// What a request says by itself is decided here: methods, options, names, TLS. What it leads to, addresses and paths,
// is decided by the gates of the session's guard, when it is known. Threading: any thread.
class PolicyAuthorizer final : public Authorizer {
 public:
  explicit PolicyAuthorizer(const PolicyServices& services) : services_(services) {}

  absl::Status Authorize(const Caller& caller, const Access& access) const override;
  absl::StatusOr<std::unique_ptr<SessionGuard>> OpenGuard(const Caller& caller,
                                                          std::string_view session_id) const override {
    return OpenPolicyGuard(services_, caller, session_id);
  }
  void NamedForeignSession(const Caller& caller) const override;

 private:
  const PolicyServices services_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_POLICY_AUTHORIZER_H_
