// The socket options of the allow-list: where they live, and which values they take.
#ifndef TRANSPORTD_TRANSPORTS_BASE_SOCKET_OPTION_TABLE_H_
#define TRANSPORTD_TRANSPORTS_BASE_SOCKET_OPTION_TABLE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/socket_option.h"

namespace transportd {

// getsockopt(2) and setsockopt(2), in the units and ranges of SocketOption in proto/transportd/v1/types.proto.
// Errors: INVALID_ARGUMENT / UNKNOWN_OPTION for what is not on the list (field `option`); INVALID_OPTION_VALUE for a
// value out of range (field `value`) or an option that can only be read (field `option`); the kernel's.
absl::StatusOr<int> GetSocketOption(int fd, SocketOption option);
absl::Status SetSocketOption(int fd, SocketOption option, int value);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_SOCKET_OPTION_TABLE_H_
