// getsockopt and setsockopt of what has a socket in the service: a transport, an endpoint, a server.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_SOCKET_OPTION_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_SOCKET_OPTION_H_

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/remote_session.h"
#include "transports/api/socket_option.h"

namespace transportd {

// `id`: what the service calls it. `done` once, with the service's answer. Threading: loop thread only.
void RequestGetsockopt(RemoteSession& session, uint32_t id, SocketOption option,
                       absl::AnyInvocable<void(absl::StatusOr<int>)> done);
void RequestSetsockopt(RemoteSession& session, uint32_t id, SocketOption option, int value,
                       absl::AnyInvocable<void(absl::Status)> done);

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_SOCKET_OPTION_H_
