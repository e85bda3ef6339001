#include "server/rpc/byte_buffers.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <cstdlib>

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

grpc::ByteBuffer ToByteBuffer(FrameBuffer frame) {
  const size_t size_bytes = frame.size();
  char* block = frame.Release();
  if (block == nullptr) {
    grpc::Slice empty;
    return grpc::ByteBuffer(&empty, 1);
  }
  grpc::Slice slice(block, size_bytes, std::free);
  return grpc::ByteBuffer(&slice, 1);
}

grpc::Slice TakeSingleSlice(grpc::ByteBuffer& bytes) {
  grpc::Slice slice;
  // Neither fails for a buffer that a read has filled, but for TrySingleSlice when there are several slices.
  if (!bytes.TrySingleSlice(&slice).ok()) CHECK(bytes.DumpToSingleSlice(&slice).ok());
  bytes.Clear();
  return slice;
}

}  // namespace transportd
