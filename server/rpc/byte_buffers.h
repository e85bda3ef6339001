// Messages and frames to and from gRPC's byte buffers.
#ifndef TRANSPORTD_SERVER_RPC_BYTE_BUFFERS_H_
#define TRANSPORTD_SERVER_RPC_BYTE_BUFFERS_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include "google/protobuf/message_lite.h"
#include "proto/frame/frame_buffer.h"

namespace transportd {

// False when the bytes are no such message.
bool Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message);

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message);

// Without a copy: gRPC frees the block when it has sent it.
grpc::ByteBuffer ToByteBuffer(FrameBuffer frame);

// All bytes in one piece: without a copy when they arrived so. Leaves `bytes` empty.
grpc::Slice TakeSingleSlice(grpc::ByteBuffer& bytes);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_BYTE_BUFFERS_H_
