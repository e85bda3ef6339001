// One call of getaddrinfo(3), with errors of our shape.
#ifndef TRANSPORTD_TRANSPORTS_RESOLVER_LOOKUP_H_
#define TRANSPORTD_TRANSPORTS_RESOLVER_LOOKUP_H_

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/resolver/resolver.h"

namespace transportd {

// INVALID_ARGUMENT / INVALID_HOST (empty, longer than 253 bytes, or with a byte 0) or INVALID_PORT (over 65535).
absl::Status ValidateRequest(const ResolveRequest& request);

// Answers without asking anybody: an unset host, a numeric one, or a request that fails whoever is asked. Unset: the
// host is a name. `request` is valid. Any thread; does not block.
std::optional<absl::StatusOr<std::vector<SocketAddress>>> LookUpNumeric(const ResolveRequest& request);

// Asks the system's name services. `request` is valid. Any thread; may block for as long as they take.
absl::StatusOr<std::vector<SocketAddress>> LookUpName(const ResolveRequest& request);

// The status of an EAI_* that `operation` ("getaddrinfo", "getnameinfo") answered about `address`; `error_number` is
// what it left in errno: of EAI_SYSTEM, and of any other when descriptors are used up.
absl::Status GaiToStatus(int gai_code, int error_number, std::string_view operation, std::string_view address);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_LOOKUP_H_
