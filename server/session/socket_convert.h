// The messages of socket.proto from and to the value types of transports/api.
#ifndef TRANSPORTD_SERVER_SESSION_SOCKET_CONVERT_H_
#define TRANSPORTD_SERVER_SESSION_SOCKET_CONVERT_H_

#include "transportd/v1/socket.pb.h"
#include "transportd/v1/types.pb.h"
#include "transports/api/existing_socket.h"
#include "transports/api/name_lookup.h"
#include "transports/api/sendfile.h"

namespace transportd {

void ToProto(const SocketKind& kind, v1::SocketKind& out);
void ToProto(const AddressInfo& info, v1::AddressInfo& out);

SocketpairOptions FromProto(const v1::SocketpairRequest& request);
GetaddrinfoOptions FromProto(const v1::GetaddrinfoRequest& request);
SendfileOptions FromProto(const v1::SendfileRequest& request);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SOCKET_CONVERT_H_
