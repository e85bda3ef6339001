// getaddrinfo(3) and getnameinfo(3) as a program asks them, with errors of our shape.
#ifndef TRANSPORTD_TRANSPORTS_RESOLVER_NAME_LOOKUP_H_
#define TRANSPORTD_TRANSPORTS_RESOLVER_NAME_LOOKUP_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/base/sockaddr.h"
#include "transports/resolver/resolver.h"

namespace transportd {

// INVALID_ARGUMENT / INVALID_HOST or INVALID_PORT (field `port`): a byte 0, or more than 1024 bytes.
absl::Status ValidateGetaddrinfo(const GetaddrinfoOptions& request);

// `request` is valid. Any thread; may block for as long as the name services take.
absl::StatusOr<std::vector<AddressInfo>> LookUpAddressInfo(const GetaddrinfoOptions& request);

// An address that getnameinfo can be asked: INVALID_FAMILY unless it is INET or INET6; else as ToRawAddress.
absl::StatusOr<RawAddress> ToNamedAddress(const SocketAddress& address);

// `flags`: NI_* bits. Any thread; may block for as long as the name services take.
absl::StatusOr<NameInfo> LookUpNameInfo(const RawAddress& address, int flags);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_NAME_LOOKUP_H_
