// A certificate as OpenSSL has it, in our form.
#ifndef TRANSPORTD_TRANSPORTS_TLS_TLS_CERTIFICATE_H_
#define TRANSPORTD_TRANSPORTS_TLS_TLS_CERTIFICATE_H_

#include <openssl/x509.h>

#include "transports/api/tls_info.h"

namespace transportd {

// What cannot be read in `certificate`, which may be anybody's making, is left out; `der` is always whole.
TlsCertificate ToTlsCertificate(X509* certificate);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_TLS_CERTIFICATE_H_
