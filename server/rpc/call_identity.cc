#include "server/rpc/call_identity.h"

#include <grpcpp/security/auth_context.h>

#include <memory>
#include <string_view>
#include <vector>

#include "transports/api/error.h"

namespace transportd {

absl::StatusOr<Caller> CallIdentity::Identify(const grpc::ServerContextBase& context) const {
  const std::string peer = context.peer();
  absl::StatusOr<Caller> caller = Ask(context, peer);
  if (connections_ != nullptr) {
    if (caller.ok()) {
      connections_->Identified(peer, *caller);
    } else {
      connections_->Failed(peer, caller.status());
    }
  }
  return caller;
}

void CallIdentity::Note(const grpc::ServerContextBase& context) const {
  if (connections_ == nullptr) return;
  const bool has_header = context.client_metadata().count("authorization") != 0;
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  const bool has_certificate = auth != nullptr && !auth->FindPropertyValues("x509_pem_cert").empty();
  if (!has_header && !has_certificate) return;
  const std::string peer = context.peer();
  const absl::StatusOr<Caller> caller = Ask(context, peer);
  if (caller.ok()) {
    connections_->Identified(peer, *caller);
  } else if (has_header) {
    connections_->Failed(peer, caller.status());
  }
}

absl::StatusOr<Caller> CallIdentity::Ask(const grpc::ServerContextBase& context, const std::string& peer) const {
  Credentials credentials;
  credentials.peer = peer;
  credentials.listener_principal = listener_principal_;
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  // What gRPC itself reads of the certificate leaves out names: whether there is a second one decides.
  const std::vector<grpc::string_ref> certificates =
      auth != nullptr ? auth->FindPropertyValues("x509_pem_cert") : std::vector<grpc::string_ref>();
  if (!certificates.empty()) {
    const grpc::string_ref& pem = certificates.front();
    absl::StatusOr<CertificateNames> names = ReadCertificateNames(std::string_view(pem.data(), pem.size()));
    if (!names.ok()) {
      return MakeError(absl::StatusCode::kUnauthenticated, "INVALID_CREDENTIALS", "the certificate cannot be read");
    }
    credentials.certificate = *std::move(names);
  }
  const auto values = context.client_metadata().equal_range("authorization");
  for (auto value = values.first; value != values.second; ++value) {
    credentials.authorization.emplace_back(value->second.data(), value->second.size());
  }
  absl::StatusOr<Caller> caller = identifier_.Identify(credentials);
  if (caller.ok()) {
    const auto traces = context.client_metadata().equal_range("traceparent");
    // Several are none: nobody knows which counts.
    if (traces.first != traces.second && std::next(traces.first) == traces.second) {
      caller->trace = ParseTraceparent({traces.first->second.data(), traces.first->second.size()});
    }
  }
  return caller;
}

}  // namespace transportd
