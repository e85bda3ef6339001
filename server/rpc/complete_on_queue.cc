#include "server/rpc/complete_on_queue.h"

#include <grpcpp/alarm.h>

#include <memory>

#include "server/rpc/tag.h"

namespace transportd {

void CompleteOnQueue(grpc::CompletionQueue& queue, const GrpcCompletion& completion) {
  // An alarm of the past comes through the queue, and so to its thread. It and its tag free themselves.
  struct Relay {
    grpc::Alarm alarm;
    Tag tag;
  };
  auto relay = std::make_shared<Relay>();
  void* const tag =
      relay->tag.Arm(relay, [completion](bool) { static_cast<Tag*>(completion.tag)->Complete(completion.ok); });
  relay->alarm.Set(&queue, gpr_inf_past(GPR_CLOCK_MONOTONIC), tag);
}

}  // namespace transportd
