// Frames as gRPC's messages, neither way with a copy.
#ifndef TRANSPORTD_PROTO_GRPC_FRAME_MESSAGE_H_
#define TRANSPORTD_PROTO_GRPC_FRAME_MESSAGE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "proto/frame/frame_buffer.h"

namespace transportd {

// The message; gRPC frees the frame's block when it has sent it.
inline grpc::ByteBuffer ToByteBuffer(FrameBuffer frame) {
  const size_t size_bytes = frame.size();
  char* const block = frame.Release();
  if (block == nullptr) {
    const grpc::Slice empty;
    return grpc::ByteBuffer(&empty, 1);
  }
  const grpc::Slice slice(block, size_bytes, std::free);
  return grpc::ByteBuffer(&slice, 1);
}

// A frame that was read, in the pieces in which gRPC has it. Threading: one thread at a time.
class FrameMessage final {
 public:
  // Leaves `message` empty.
  void Take(grpc::ByteBuffer& message) {
    Clear();
    // It fails only for a message that is compressed and cannot be uncompressed: no frame, as is what it is then.
    static_cast<void>(message.Dump(&slices_));
    message.Clear();
    pieces_.reserve(slices_.size());
    for (const grpc::Slice& slice : slices_) {
      pieces_.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  void Clear() {
    pieces_.clear();
    slices_.clear();
  }

  std::span<const std::string_view> pieces() const { return pieces_; }

 private:
  std::vector<grpc::Slice> slices_;
  std::vector<std::string_view> pieces_;
};

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_GRPC_FRAME_MESSAGE_H_
