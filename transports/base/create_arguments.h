// What the arguments of every create_* call must be. Nothing is resolved.
#ifndef TRANSPORTD_TRANSPORTS_BASE_CREATE_ARGUMENTS_H_
#define TRANSPORTD_TRANSPORTS_BASE_CREATE_ARGUMENTS_H_

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "transports/api/address.h"
#include "transports/api/time.h"

namespace transportd {

// The longest time that a create_* call may be given.
inline constexpr Duration kMaxCreateDuration = std::chrono::hours(1);

// INVALID_ARGUMENT / INVALID_HOST: longer than 253 bytes, a scope longer than 64, or a byte 0. `field` is named in it.
absl::Status ValidateHost(std::string_view host, std::string_view field);
// INVALID_PORT: over 65535.
absl::Status ValidatePort(std::optional<uint32_t> port, std::string_view field);
// Both of them, and INVALID_HOST for an empty host or neither. `field`: the HostPort's own.
absl::Status ValidateHostPort(const HostPort& address, const std::string& field);
// INVALID_BACKLOG: not 1 to 65535.
absl::Status ValidateBacklog(uint32_t backlog);
// INVALID_FLAGS: bits that getaddrinfo(3) has not.
absl::Status ValidateResolverFlags(int flags);
// INVALID_TIMEOUT: 0, negative, or more than kMaxCreateDuration.
absl::Status ValidateCreateTimeout(std::optional<Duration> timeout);

// The first that is not OK.
absl::Status FirstError(std::initializer_list<absl::Status> statuses);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_CREATE_ARGUMENTS_H_
