// Hands a completion to the thread whose it is.
#ifndef TRANSPORTD_SERVER_RPC_COMPLETE_ON_QUEUE_H_
#define TRANSPORTD_SERVER_RPC_COMPLETE_ON_QUEUE_H_

#include <grpcpp/completion_queue.h>

#include "proto/grpc/immediate_completion.h"

namespace transportd {

// Completes the Tag that `completion` has on the thread in Next of `queue`, which must not have been shut down.
// Threading: any thread.
void CompleteOnQueue(grpc::CompletionQueue& queue, const GrpcCompletion& completion);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_COMPLETE_ON_QUEUE_H_
