// The contract's messages from and to the value types of transports/api.
#ifndef TRANSPORTD_SERVER_SESSION_CONVERT_H_
#define TRANSPORTD_SERVER_SESSION_CONVERT_H_

#include <chrono>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/session/session_limits.h"
#include "transportd/v1/event_loop.pb.h"
#include "transportd/v1/transport.pb.h"
#include "transportd/v1/types.pb.h"
#include "transports/api/address.h"
#include "transports/api/datagram.h"
#include "transports/api/error.h"
#include "transports/api/event_loop.h"
#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd {

void ToProto(const SocketAddress& address, v1::SocketAddress& out);
void ToProto(const PipeInfo& pipe, v1::PipeInfo& out);
void ToProto(const ExtraInfo& extra_info, v1::ExtraInfo& out);
void ToProto(const TransportError& error, v1::TransportError& out);
void ToProto(const ConnectionEnd& end, v1::ConnectionLost& out);
void ToProto(const DatagramCounts& counts, v1::DatagramCounts& out);
void ToProto(const WriteBufferMarks& marks, v1::WriteBufferLimits& out);
void ToProto(const SessionLimits& limits, v1::Limits& out);

// `status` is not OK.
v1::TransportError ErrorProto(const absl::Status& status);

// A family that is not named is that which the host or the path looks like. INVALID_PORT (field `address.port`).
absl::StatusOr<SocketAddress> FromProto(const v1::SocketAddress& address);
HostPort FromProto(const v1::HostPort& host_port);
WriteBufferLimits FromProto(const v1::WriteBufferLimits& limits);
// Unknown numbers become kUnix, which no TCP call accepts.
AddressFamily FromProto(v1::AddressFamily family);
// Beyond 100 years either way: that.
Duration FromProto(const google::protobuf::Duration& duration);
void ToProto(Duration duration, google::protobuf::Duration& out);
void ToProto(std::chrono::system_clock::time_point time, google::protobuf::Timestamp& out);

// Values are checked by the loop; what is converted here is only the shape.
CreateConnectionOptions FromProto(const v1::CreateConnectionRequest& request, Duration default_timeout);
CreateServerOptions FromProto(const v1::CreateServerRequest& request, Duration default_timeout);
CreateUnixConnectionOptions FromProto(const v1::CreateUnixConnectionRequest& request, Duration default_timeout);
CreateUnixServerOptions FromProto(const v1::CreateUnixServerRequest& request);
CreateDatagramEndpointOptions FromProto(const v1::CreateDatagramEndpointRequest& request, Duration default_timeout);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_CONVERT_H_
