// Who calls? The one thing that every call asks first.
#ifndef TRANSPORTD_SERVER_POLICY_IDENTIFIER_H_
#define TRANSPORTD_SERVER_POLICY_IDENTIFIER_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/policy/authorizer.h"
#include "server/policy/certificate_identity.h"

namespace transportd {

// What a caller has shown. Threading: a value, for the time of a call: it points to the call's metadata.
struct Credentials {
  std::string peer = {};  // gRPC's, with its percent-encoding.
  // Of TLS, which has verified its chain. Unset: there was none.
  std::optional<CertificateNames> certificate = {};
  // Each value of the metadata `authorization`.
  std::vector<std::string_view> authorization = {};
  // Whom the listener stands for, a Unix socket of --listen; unset: for nobody.
  std::optional<std::string> listener_principal = {};
};

// Threading: any thread.
class Identifier {
 public:
  virtual ~Identifier() = default;

  // UNAUTHENTICATED / NO_PRINCIPAL: nothing was shown. UNAUTHENTICATED / INVALID_CREDENTIALS: something that was is not
  // good, whatever else is, or it is of another principal than the rest. The message says of which kind it is, never
  // what it is, nor which part of a token the service knows. Does not block.
  virtual absl::StatusOr<Caller> Identify(const Credentials& credentials) const = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_IDENTIFIER_H_
