#include "clients/cpp/service_tls.h"

#include <string>
#include <string_view>
#include <utility>

#include "clients/cpp/file_contents.h"
#include "clients/cpp/service_target.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/tls/system_trust_roots.h"
#include "transports/tls/tls_context.h"

namespace transportd {
namespace {

absl::Status Bad(std::string_view reason, std::string_view field, std::string_view message) {
  TransportError error;
  error.code = absl::StatusCode::kInvalidArgument;
  error.reason = std::string(reason);
  error.field = std::string(field);
  error.message = std::string(message);
  return ToStatus(error);
}

// Options that do not go together.
absl::Status BadOption(std::string_view field, std::string_view message) {
  TransportError error;
  error.reason = "INVALID_SERVICE_TLS";
  return Bad(error.reason, field, message);
}

absl::Status ReadInto(std::string_view field, const std::string& file, std::string& out) {
  absl::StatusOr<std::string> content = ReadFileContents(file);
  if (!content.ok()) {
    const TransportError error = ToTransportError(content.status());
    return Bad(error.reason, field, error.message);
  }
  out = *std::move(content);
  return absl::OkStatus();
}

// What TLS says about its options, about the file that it was in.
absl::Status OfFile(const absl::Status& status, const ConnectOptions& options) {
  const TransportError error = ToTransportError(status);
  // Without the field's name.
  std::string_view what = error.message;
  if (const std::string prefix = error.field + ": "; what.substr(0, prefix.size()) == prefix) {
    what.remove_prefix(prefix.size());
  }
  if (error.field == "tls.server_hostname") return Bad(error.reason, "server_name", what);
  std::string_view field = "certificate_file";
  std::string_view file = options.certificate_file;
  if (error.field == "tls.trust_roots_pem") {
    field = "ca_file";
    file = options.ca_file;
  } else if (error.field == "tls.private_key_pem" && !options.key_file.empty()) {
    field = "key_file";
    file = options.key_file;
  }
  return Bad(error.reason, field, StrCat(file, ": ", what));
}

}  // namespace

absl::StatusOr<std::optional<TlsOptions>> ReadServiceTls(const ConnectOptions& options) {
  if (options.ca_file.empty()) {
    const bool wants_certificate = !options.certificate_file.empty() || !options.key_file.empty();
    if (!wants_certificate && options.server_name.empty()) return std::nullopt;
    return BadOption("ca_file",
                     StrCat(wants_certificate ? "a client certificate" : "the name of the service's certificate",
                            " needs TLS, and no CA to trust was given"));
  }
  if (options.credentials != nullptr)
    return BadOption("credentials", "credentials of gRPC's are given besides: one of them must do");
  const ServiceTarget target = ParseServiceTarget(options.target);
  if (target.kind == ServiceTarget::Kind::kUnix) {
    return BadOption("target", StrCat("a Unix socket has no TLS, and needs none: ", options.target));
  }
  if (options.certificate_file.empty() && !options.key_file.empty()) {
    return BadOption("certificate_file", "a key was given, and not its certificate");
  }
  TlsOptions tls;
  const bool trusts_system = options.ca_file == kSystemCa;
  if (!trusts_system) {
    if (absl::Status status = ReadInto("ca_file", options.ca_file, tls.trust_roots_pem.emplace()); !status.ok()) {
      return status;
    }
  }
  if (!options.certificate_file.empty()) {
    absl::Status status = ReadInto("certificate_file", options.certificate_file, tls.certificate_chain_pem);
    if (!status.ok()) return status;
    tls.private_key_pem = tls.certificate_chain_pem;
  }
  if (!options.key_file.empty()) {
    if (absl::Status status = ReadInto("key_file", options.key_file, tls.private_key_pem); !status.ok()) return status;
  }
  tls.verify_mode = TlsVerifyMode::kRequired;
  if (!options.server_name.empty()) {
    tls.server_hostname = options.server_name;
  } else if (target.kind == ServiceTarget::Kind::kTcp) {
    tls.server_hostname = target.host;
  }
  tls.alpn_protocols = {"h2"};  // As gRPC does.
  // gRPC tells what is wrong with them in its log only.
  const X509StorePtr roots = trusts_system ? SystemTrustRoots().Get() : nullptr;
  const auto context = TlsContext::Create(tls, TlsSide::kClient, roots.get());
  if (!context.ok()) return OfFile(context.status(), options);
  return tls;
}

std::shared_ptr<grpc::ChannelCredentials> ToGrpcCredentials(const std::optional<TlsOptions>& tls) {
  if (!tls) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = tls->trust_roots_pem.value_or(""),
                               .pem_private_key = tls->private_key_pem,
                               .pem_cert_chain = tls->certificate_chain_pem});
}

}  // namespace transportd
