// A call with one request and one response.
#ifndef TRANSPORTD_SERVER_RPC_UNARY_CALL_H_
#define TRANSPORTD_SERVER_RPC_UNARY_CALL_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "server/policy/authorizer.h"
#include "server/rpc/byte_buffers.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/router.h"

namespace transportd {

// Threading: a value.
struct UnaryResult {
  grpc::Status status;
  grpc::ByteBuffer response;  // Sent when the status is OK.
};

// Called exactly once, from any thread, also inside the method it was given to.
using UnaryDone = absl::AnyInvocable<void(UnaryResult)>;

// Begins to answer, on the queue's thread; must not block. What it returns cancels, may be null, and is called at most
// once, when the client has given up or the deadline has passed; `done` is to be called all the same.
using UnaryMethod = absl::AnyInvocable<absl::AnyInvocable<void()>(Caller caller, const grpc::ByteBuffer& request,
                                                                  UnaryDone done) const>;

// Reads the request, calls `method`, sends what it answers. The handler must outlive its calls.
CallHandler ServeUnary(UnaryMethod method);

// INVALID_ARGUMENT / BAD_REQUEST: the bytes are no such message.
absl::Status BadRequest(const google::protobuf::MessageLite& request);

// The response, serialized, or the error.
template <typename Response>
UnaryResult ToUnaryResult(const absl::StatusOr<Response>& response) {
  if (!response.ok()) return {ToGrpcStatus(response.status()), {}};
  return {grpc::Status::OK, Serialize(*response)};
}

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_UNARY_CALL_H_
