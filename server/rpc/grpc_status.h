// Failures as gRPC carries them.
#ifndef TRANSPORTD_SERVER_RPC_GRPC_STATUS_H_
#define TRANSPORTD_SERVER_RPC_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "transportd/v1/types.pb.h"

namespace transportd {

// The code and `REASON: message`, with the error itself in the trailer `grpc-status-details-bin`: a serialized
// google.rpc.Status whose only detail is the TransportError. A code that is none of gRPC's, or 0, becomes UNKNOWN.
// https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto
grpc::Status ToGrpcStatus(const v1::TransportError& error);

// As above for what `status` carries; OK for OK.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_GRPC_STATUS_H_
