// Who a client certificate stands for. That its chain leads to a CA that is trusted was seen to before, by TLS.
#ifndef TRANSPORTD_SERVER_POLICY_CERTIFICATE_IDENTITY_H_
#define TRANSPORTD_SERVER_POLICY_CERTIFICATE_IDENTITY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "transportd/v1/identity.pb.h"

namespace transportd {

// What a certificate says of its owner. Threading: a value.
struct CertificateNames {
  std::vector<std::string> uris = {};       // All alternative names that are URIs.
  std::vector<std::string> dns_names = {};  // All that are DNS names.
  std::string serial = {};                  // Hexadecimal digits; for the audit.
  bool is_authority = false;                // It may sign certificates or revocation lists.
};

// Of the first certificate in `pem`. INVALID_ARGUMENT: there is none, or its alternative names cannot be read.
// Threading: any thread.
absl::StatusOr<CertificateNames> ReadCertificateNames(std::string_view pem);

// The principal: the SPIFFE ID, when that is the only URI; or, where `rules` allow it, `dns:NAME`, when there is no URI
// and one DNS name, in lower case. UNAUTHENTICATED with a message for the client; also for a CA's own certificate,
// which stands for nobody (X509-SVID, section 5.2). Threading: any thread.
absl::StatusOr<std::string> CertificatePrincipal(const CertificateNames& names, const v1::ClientCertificates& rules);

// https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md, section 2: `spiffe://TRUST_DOMAIN/PATH`, at most
// 2048 bytes, with a path, as one for a workload has it.
bool IsSpiffeId(std::string_view uri);
// 1 to 255 of a-z, 0-9, `.`, `-` and `_`.
bool IsTrustDomain(std::string_view name);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CERTIFICATE_IDENTITY_H_
