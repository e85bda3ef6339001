// Takes the completion of a gRPC operation that is over as soon as it has begun, on the thread that began it.
#ifndef TRANSPORTD_PROTO_GRPC_IMMEDIATE_COMPLETION_H_
#define TRANSPORTD_PROTO_GRPC_IMMEDIATE_COMPLETION_H_

#include <grpc/grpc.h>
#include <grpcpp/completion_queue.h>

#include <optional>

namespace transportd {

// What CompletionQueue::Next would have given. Threading: a value.
struct GrpcCompletion {
  void* tag = nullptr;
  bool ok = false;
};

// Calls `begin`, which begins an operation on `queue`. A write is mostly over then: its bytes are in the kernel. Its
// completion is what this returns, and the thread in Next is not woken for it. Nothing: it will come through Next.
// Seldom the completion is another operation's of the same queue, which ended inside `begin`; the caller must see to it
// as the queue's thread would. What CompletionQueue::DoThenAsyncNext does, without its Next. Threading: any thread.
template <typename Begin>
std::optional<GrpcCompletion> BeginAndTakeCompletion(grpc::CompletionQueue& queue, Begin begin) {
  grpc_completion_queue_thread_local_cache_init(queue.cq());
  begin();
  void* tag = nullptr;
  int ok = 0;
  if (grpc_completion_queue_thread_local_cache_flush(queue.cq(), &tag, &ok) == 0) return std::nullopt;
  GrpcCompletion completion{.tag = tag, .ok = ok != 0};
  auto* const operation = static_cast<grpc::internal::CompletionQueueTag*>(tag);
  // False: the operation goes on by itself (interceptors do that), and its completion will come through Next.
  if (!operation->FinalizeResult(&completion.tag, &completion.ok)) return std::nullopt;
  return completion;
}

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_GRPC_IMMEDIATE_COMPLETION_H_
