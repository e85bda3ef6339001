// The file of identities: read, and found to be as proto/transportd/v1/identity.proto says.
#ifndef TRANSPORTD_SERVER_POLICY_IDENTITIES_FILE_H_
#define TRANSPORTD_SERVER_POLICY_IDENTITIES_FILE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "transportd/v1/identity.pb.h"

namespace transportd {

// `text` of `file_name`, textproto or JSON. INVALID_ARGUMENT: its message begins with `FILE:LINE:COLUMN: ` or
// `FILE: FIELD: ` and says what is allowed. Besides what identity.proto says: no hash is there twice, no
// principal_prefix begins with another one, and none with `spiffe:` or `dns:`, so that no issuer can make another's
// principals, or a certificate's. The key sets are not looked at. Threading: any thread.
absl::StatusOr<v1::Identities> ReadIdentities(std::string_view text, std::string_view file_name);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_IDENTITIES_FILE_H_
