// The certificates that the service was started with.
#ifndef TRANSPORTD_SERVER_OPS_TLS_IDENTITIES_H_
#define TRANSPORTD_SERVER_OPS_TLS_IDENTITIES_H_

#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "transports/api/tls_options.h"

namespace transportd {

// Reads what `flags` name, each "NAME=CERTFILE,KEYFILE": a name of letters, digits, '.', '_' and '-', once; PEM files
// of which a server could be made. A sentence that says what to do for the first that is not so. Blocks.
absl::StatusOr<TlsIdentities> ReadTlsIdentities(std::span<const std::string> flags);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_TLS_IDENTITIES_H_
