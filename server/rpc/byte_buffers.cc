#include "server/rpc/byte_buffers.h"

#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include "transports/base/check.h"

namespace transportd {

bool Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message) {
  // The reader does not change the buffer, its constructor's type notwithstanding.
  grpc::ProtoBufferReader reader(const_cast<grpc::ByteBuffer*>(&bytes));
  return reader.status().ok() && message.ParseFromZeroCopyStream(&reader);
}

grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message) {
  const size_t size_bytes = message.ByteSizeLong();
  grpc::Slice slice(size_bytes);
  // The slice is nobody else's yet.
  CHECK(message.SerializeToArray(const_cast<uint8_t*>(slice.begin()), static_cast<int>(size_bytes)));
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace transportd
