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
#include "transports/api/datagram.h"
#include "transports/api/error.h"
#include "transports/api/event_loop.h"
#include "transports/api/existing_socket.h"
#include "transports/api/name_lookup.h"
#include "transports/api/protocol.h"
#include "transports/api/sendfile.h"
#include "transports/api/transport.h"

namespace transportd::remote {

SocketAddress FromProto(const v1::SocketAddress& address);
ExtraInfo FromProto(const v1::ExtraInfo& extra_info);
SocketKind FromProto(const v1::SocketKind& kind);
AddressInfo FromProto(const v1::AddressInfo& info);
TransportError FromProto(const v1::TransportError& error);
// OK only when the message has no error. An end whose cause is unknown here is kOsError.
ConnectionEnd FromProto(const v1::ConnectionLost& lost);
DatagramEnd DatagramEndFromProto(const v1::ConnectionLost& lost);
// The status that `error` means; carries all of it.
absl::Status ToStatus(const v1::TransportError& error);

// INVALID_ARGUMENT for what a message cannot carry (a host that is not UTF-8); everything else is the service's to
// judge.
absl::Status ToProto(const CreateConnectionOptions& options, v1::CreateConnectionRequest& out);
absl::Status ToProto(const CreateServerOptions& options, v1::CreateServerRequest& out);
absl::Status ToProto(const CreateDatagramEndpointOptions& options, v1::CreateDatagramEndpointRequest& out);
absl::Status ToProto(const SocketAddress& address, v1::SocketAddress& out);
absl::Status ToProto(const CreateUnixConnectionOptions& options, v1::CreateUnixConnectionRequest& out);
absl::Status ToProto(const CreateUnixServerOptions& options, v1::CreateUnixServerRequest& out);
void ToProto(Duration duration, google::protobuf::Duration& out);
// From 0 to 10 years: what is beyond is taken for the bound.
Duration FromProto(const google::protobuf::Duration& duration);
void ToProto(const SocketpairOptions& options, v1::SocketpairRequest& out);
void ToProto(const GetaddrinfoOptions& options, v1::GetaddrinfoRequest& out);
void ToProto(const SendfileOptions& options, v1::SendfileRequest& out);
// The watermarks that matter are the transport's here: the service need not tell of its own.
void SetQuietSocketLimits(v1::ConnectAcceptedSocketRequest& out);

absl::Status ToProto(const ConnectPipeOptions& options, v1::PipeSource& out);
absl::Status ToProto(const ConnectPipeOptions& options, v1::ConnectWritePipeRequest& out);
// A name that is no UTF-8 is INVALID_USER or INVALID_GROUP.
absl::Status ToProto(const SubprocessOptions& options, v1::SubprocessOptions& out);

}  // namespace transportd::remote

#endif  // TRANSPORTD_CLIENTS_CPP_CONVERT_H_
