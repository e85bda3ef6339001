// TLS, as it came about: what get_extra_info tells of a transport that speaks it.
#ifndef TRANSPORTD_TRANSPORTS_API_TLS_INFO_H_
#define TRANSPORTD_TRANSPORTS_API_TLS_INFO_H_

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace transportd {

// One attribute of a name, as "commonName", "organizationName", …: OpenSSL's long names, or a dotted number.
struct TlsNameAttribute {
  std::string name = {};
  std::string value = {};  // UTF-8.

  friend bool operator==(const TlsNameAttribute&, const TlsNameAttribute&) = default;
};

// A distinguished name: its relative names in order, each of one attribute or, rarely, more.
using TlsName = std::vector<std::vector<TlsNameAttribute>>;

// An entry of the extension subjectAltName. RFC 5280, section 4.2.1.6.
struct TlsAlternativeName {
  std::string type = {};   // "DNS", "IP Address", "URI", "email", "DirName", "Registered ID", "othername".
  std::string value = {};  // Empty for what has no text: "DirName" and "othername".

  friend bool operator==(const TlsAlternativeName&, const TlsAlternativeName&) = default;
};

// An X.509 certificate, and what SSLSocket.getpeercert() tells of it.
struct TlsCertificate {
  std::string der = {};
  TlsName subject = {};
  TlsName issuer = {};
  std::vector<TlsAlternativeName> subject_alternative_names = {};
  std::string serial_number = {};  // Upper-case hexadecimal, without 0x.
  int version = 0;                 // 3 for X.509v3.
  std::chrono::sys_seconds not_before = {};
  std::chrono::sys_seconds not_after = {};
};

// asyncio's cipher: SSLSocket.cipher().
struct TlsCipher {
  std::string name = {};      // "TLS_AES_256_GCM_SHA384".
  std::string protocol = {};  // The version of TLS that defines it: "TLSv1.3".
  int secret_bits = 0;
};

struct TlsInfo {
  std::string version = {};  // In use: "TLSv1.2", "TLSv1.3".
  TlsCipher cipher = {};
  std::optional<std::string> compression = {};  // Unset: none, as it should be.
  std::optional<std::string> alpn_protocol = {};
  std::optional<TlsCertificate> peer_certificate = {};  // Unset: the peer showed none.
  // Whether it was verified; asyncio's peercert is empty when it was not.
  bool peer_certificate_verified = false;
  bool session_reused = false;
  // The name that the client asked for (SNI). Unset: none.
  std::optional<std::string> server_name = {};
};

// RFC 7468: "-----BEGIN CERTIFICATE-----", …
std::string ToPem(const TlsCertificate& certificate);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_TLS_INFO_H_
