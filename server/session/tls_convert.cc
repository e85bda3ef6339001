#include "server/session/tls_convert.h"

#include <chrono>

#include "server/session/convert.h"

namespace transportd {
namespace {

void ToProto(const TlsName& name, v1::TlsName& out) {
  for (const auto& attributes : name) {
    v1::TlsRelativeName& relative_name = *out.add_relative_names();
    for (const TlsNameAttribute& attribute : attributes) {
      v1::TlsNameAttribute& added = *relative_name.add_attributes();
      added.set_name(attribute.name);
      added.set_value(attribute.value);
    }
  }
}

void ToProto(const TlsCertificate& certificate, v1::TlsCertificate& out) {
  out.set_der(certificate.der);
  ToProto(certificate.subject, *out.mutable_subject());
  ToProto(certificate.issuer, *out.mutable_issuer());
  for (const TlsAlternativeName& name : certificate.subject_alternative_names) {
    v1::TlsAlternativeName& added = *out.add_subject_alternative_names();
    added.set_type(name.type);
    added.set_value(name.value);
  }
  out.set_serial_number(certificate.serial_number);
  out.set_version(static_cast<uint32_t>(certificate.version));
  out.mutable_not_before()->set_seconds(certificate.not_before.time_since_epoch().count());
  out.mutable_not_after()->set_seconds(certificate.not_after.time_since_epoch().count());
}

// The numbers of both enumerations are in the same order; that of proto/ begins with UNSPECIFIED.
template <typename Enum>
std::optional<Enum> FromNumber(int number) {
  if (number == 0) return std::nullopt;
  return static_cast<Enum>(number - 1);
}

}  // namespace

void ToProto(const TlsInfo& info, v1::TlsInfo& out) {
  out.set_version(info.version);
  out.mutable_cipher()->set_name(info.cipher.name);
  out.mutable_cipher()->set_protocol(info.cipher.protocol);
  out.mutable_cipher()->set_secret_bits(static_cast<uint32_t>(info.cipher.secret_bits));
  if (info.compression.has_value()) out.set_compression(*info.compression);
  if (info.alpn_protocol.has_value()) out.set_alpn_protocol(*info.alpn_protocol);
  if (info.peer_certificate.has_value()) ToProto(*info.peer_certificate, *out.mutable_peer_certificate());
  out.set_peer_certificate_verified(info.peer_certificate_verified);
  out.set_session_reused(info.session_reused);
  if (info.server_name.has_value()) out.set_server_name(*info.server_name);
}

TlsOptions FromProto(const v1::TlsOptions& options, const std::string& session_id) {
  TlsOptions out;
  if (options.has_trust_roots_pem()) out.trust_roots_pem = options.trust_roots_pem();
  out.certificate_chain_pem = options.certificate_chain_pem();
  out.private_key_pem = options.private_key_pem();
  out.identity = options.identity();
  out.verify_mode = FromNumber<TlsVerifyMode>(options.verify_mode());
  if (options.has_server_hostname()) out.server_hostname = options.server_hostname();
  out.alpn_protocols.assign(options.alpn_protocols().begin(), options.alpn_protocols().end());
  out.minimum_version = FromNumber<TlsVersion>(options.minimum_version());
  out.maximum_version = FromNumber<TlsVersion>(options.maximum_version());
  out.cipher_list = options.cipher_list();
  out.ciphersuites = options.ciphersuites();
  if (options.has_session_resumption()) out.session_resumption = options.session_resumption();
  if (options.has_handshake_timeout()) out.handshake_timeout = FromProto(options.handshake_timeout());
  if (options.has_shutdown_timeout()) out.shutdown_timeout = FromProto(options.shutdown_timeout());
  out.resumption_scope = session_id;
  return out;
}

}  // namespace transportd
