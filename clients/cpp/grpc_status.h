// gRPC's status as ours.
#ifndef TRANSPORTD_CLIENTS_CPP_GRPC_STATUS_H_
#define TRANSPORTD_CLIENTS_CPP_GRPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace transportd {

// With the TransportError of the trailer `grpc-status-details-bin`, when there is one.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_GRPC_STATUS_H_
