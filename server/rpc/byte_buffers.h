// Messages to and from gRPC's byte buffers.
#ifndef TRANSPORTD_SERVER_RPC_BYTE_BUFFERS_H_
#define TRANSPORTD_SERVER_RPC_BYTE_BUFFERS_H_

#include <grpcpp/support/byte_buffer.h>

#include "google/protobuf/message_lite.h"

namespace transportd {

// False when the bytes are no such message.
bool Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message);

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_BYTE_BUFFERS_H_
