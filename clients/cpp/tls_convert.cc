#include "clients/cpp/tls_convert.h"

#include <chrono>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "clients/cpp/convert.h"
#include "transports/api/error.h"

namespace transportd::remote {
namespace {

TlsName FromProto(const v1::TlsName& name) {
  TlsName out;
  for (const v1::TlsRelativeName& relative_name : name.relative_names()) {
    std::vector<TlsNameAttribute>& attributes = out.emplace_back();
    for (const v1::TlsNameAttribute& attribute : relative_name.attributes()) {
      attributes.push_back({.name = attribute.name(), .value = attribute.value()});
    }
  }
  return out;
}

TlsCertificate FromProto(const v1::TlsCertificate& certificate) {
  TlsCertificate out{.der = certificate.der(),
                     .subject = FromProto(certificate.subject()),
                     .issuer = FromProto(certificate.issuer()),
                     .serial_number = certificate.serial_number(),
                     .version = static_cast<int>(certificate.version()),
                     .not_before = std::chrono::sys_seconds(std::chrono::seconds(certificate.not_before().seconds())),
                     .not_after = std::chrono::sys_seconds(std::chrono::seconds(certificate.not_after().seconds()))};
  for (const v1::TlsAlternativeName& name : certificate.subject_alternative_names()) {
    out.subject_alternative_names.push_back({.type = name.type(), .value = name.value()});
  }
  return out;
}

// A proto string is UTF-8; all of these are ASCII where they are good.
absl::Status CheckText(std::string_view text, std::string_view reason, std::string_view field) {
  for (const char letter : text) {
    if (static_cast<unsigned char>(letter) >= 0x80) return InvalidArgument(reason, field, "ASCII letters only");
  }
  return absl::OkStatus();
}

}  // namespace

std::shared_ptr<const TlsInfo> FromProto(const v1::TlsInfo& info) {
  auto out = std::make_shared<TlsInfo>();
  out->version = info.version();
  out->cipher = {.name = info.cipher().name(),
                 .protocol = info.cipher().protocol(),
                 .secret_bits = static_cast<int>(info.cipher().secret_bits())};
  if (info.has_compression()) out->compression = info.compression();
  if (info.has_alpn_protocol()) out->alpn_protocol = info.alpn_protocol();
  if (info.has_peer_certificate()) out->peer_certificate = FromProto(info.peer_certificate());
  out->peer_certificate_verified = info.peer_certificate_verified();
  out->session_reused = info.session_reused();
  if (info.has_server_name()) out->server_name = info.server_name();
  return out;
}

absl::Status ToProto(const TlsOptions& options, v1::TlsOptions& out) {
  const std::string trust_roots = options.trust_roots_pem.value_or("");
  const std::string server_hostname = options.server_hostname.value_or("");
  for (const auto& [text, reason, field] :
       {std::tuple<std::string_view, std::string_view, std::string_view>{trust_roots, "INVALID_TRUST_ROOTS",
                                                                         "tls.trust_roots_pem"},
        {options.certificate_chain_pem, "INVALID_CERTIFICATE", "tls.certificate_chain_pem"},
        {options.private_key_pem, "INVALID_PRIVATE_KEY", "tls.private_key_pem"},
        {options.identity, "UNKNOWN_TLS_IDENTITY", "tls.identity"},
        {server_hostname, "INVALID_SERVER_HOSTNAME", "tls.server_hostname"},
        {options.cipher_list, "INVALID_CIPHERS", "tls.cipher_list"},
        {options.ciphersuites, "INVALID_CIPHERS", "tls.ciphersuites"}}) {
    if (absl::Status status = CheckText(text, reason, field); !status.ok()) return status;
  }
  if (options.trust_roots_pem.has_value()) out.set_trust_roots_pem(*options.trust_roots_pem);
  out.set_certificate_chain_pem(options.certificate_chain_pem);
  out.set_private_key_pem(options.private_key_pem);
  out.set_identity(options.identity);
  // The numbers of both enumerations are in the same order; that of proto/ begins with UNSPECIFIED.
  if (options.verify_mode.has_value()) {
    out.set_verify_mode(static_cast<v1::TlsVerifyMode>(static_cast<int>(*options.verify_mode) + 1));
  }
  if (options.server_hostname.has_value()) out.set_server_hostname(*options.server_hostname);
  for (const std::string& name : options.alpn_protocols) out.add_alpn_protocols(name);
  if (options.minimum_version.has_value()) {
    out.set_minimum_version(static_cast<v1::TlsVersion>(static_cast<int>(*options.minimum_version) + 1));
  }
  if (options.maximum_version.has_value()) {
    out.set_maximum_version(static_cast<v1::TlsVersion>(static_cast<int>(*options.maximum_version) + 1));
  }
  out.set_cipher_list(options.cipher_list);
  out.set_ciphersuites(options.ciphersuites);
  if (options.session_resumption.has_value()) out.set_session_resumption(*options.session_resumption);
  if (options.handshake_timeout.has_value()) ToProto(*options.handshake_timeout, *out.mutable_handshake_timeout());
  if (options.shutdown_timeout.has_value()) ToProto(*options.shutdown_timeout, *out.mutable_shutdown_timeout());
  return absl::OkStatus();
}

}  // namespace transportd::remote
