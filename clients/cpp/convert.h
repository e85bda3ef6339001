// The contract's messages from and to the value types of transports/api, as a client needs them.
#ifndef TRANSPORTD_CLIENTS_CPP_CONVERT_H_
#define TRANSPORTD_CLIENTS_CPP_CONVERT_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "transportd/v1/event_loop.pb.h"
#include "transportd/v1/transport.pb.h"
#include "transportd/v1/types.pb.h"
#include "transports/api/address.h"
#include "transports/api/error.h"
#include "transports/api/event_loop.h"
#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd::remote {

SocketAddress FromProto(const v1::SocketAddress& address);
ExtraInfo FromProto(const v1::ExtraInfo& extra_info);
TransportError FromProto(const v1::TransportError& error);
// OK only when the message has no error. An end whose cause is unknown here is kOsError.
ConnectionEnd FromProto(const v1::ConnectionLost& lost);
// The status that `error` means; carries all of it.
absl::Status ToStatus(const v1::TransportError& error);

// INVALID_ARGUMENT for what a message cannot carry (a host that is not UTF-8); everything else is the service's to
// judge.
absl::Status ToProto(const CreateConnectionOptions& options, v1::CreateConnectionRequest& out);
absl::Status ToProto(const CreateServerOptions& options, v1::CreateServerRequest& out);

}  // namespace transportd::remote

#endif  // TRANSPORTD_CLIENTS_CPP_CONVERT_H_
