#include "transports/api/tls_info.h"

#include <cstddef>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace transportd {

std::string ToPem(const TlsCertificate& certificate) {
  constexpr size_t kLineBytes = 64;  // RFC 7468, section 2.
  const std::string base64 = absl::Base64Escape(absl::string_view(certificate.der.data(), certificate.der.size()));
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  for (size_t begin = 0; begin < base64.size(); begin += kLineBytes) {
    pem.append(base64, begin, kLineBytes).append("\n");
  }
  pem.append("-----END CERTIFICATE-----\n");
  return pem;
}

}  // namespace transportd
