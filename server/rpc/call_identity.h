// Who is behind a call, as gRPC knows it.
#ifndef TRANSPORTD_SERVER_RPC_CALL_IDENTITY_H_
#define TRANSPORTD_SERVER_RPC_CALL_IDENTITY_H_

#include <grpcpp/server_context.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/listen/unauthenticated_connections.h"
#include "server/policy/authorizer.h"
#include "server/policy/identifier.h"

namespace transportd {

// Of one server. Threading: immutable; any thread.
class CallIdentity final {
 public:
  // `identifier` and `connections` outlive this. `listener_principal`: whom the server's listeners stand for; unset:
  // for nobody. `connections`: is told; may be null.
  explicit CallIdentity(const Identifier& identifier, std::optional<std::string> listener_principal = std::nullopt,
                        UnauthenticatedConnections* connections = nullptr)
      : identifier_(identifier), listener_principal_(std::move(listener_principal)), connections_(connections) {}

  // Collects what the caller has shown, the certificate of its connection and the metadata of its call, and asks. As
  // Identifier::Identify.
  absl::StatusOr<Caller> Identify(const grpc::ServerContextBase& context) const;

  // Of a call that anybody may make. Where it shows who calls, its connection is somebody's from now on; a token or
  // header that is nobody's counts as in Identify, so that none can be tried here. A certificate that is nobody's does
  // not: it cannot be guessed, and its owner need be none to ask.
  void Note(const grpc::ServerContextBase& context) const;

 private:
  absl::StatusOr<Caller> Ask(const grpc::ServerContextBase& context, const std::string& peer) const;

  const Identifier& identifier_;
  const std::optional<std::string> listener_principal_;
  UnauthenticatedConnections* const connections_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_CALL_IDENTITY_H_
