// grpc.health.v1.Health: is the service up?
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
#ifndef TRANSPORTD_SERVER_RPC_HEALTH_SERVICE_H_
#define TRANSPORTD_SERVER_RPC_HEALTH_SERVICE_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "grpc/health/v1/health.pb.h"
#include "server/rpc/router.h"
#include "transports/base/mutex.h"

namespace transportd {

// All services, the whole under the name "", and `readiness`, for load balancers, are in the same state. `startup` and
// `liveness` are serving while there is an answer at all: who is draining must not be started anew. Asks no authorizer:
// whoever can connect may know whether the service is up, and a prober has no name. gRPC's own health service is not
// used: it runs on the callback API's threads. Threading: any thread.
class HealthService final {
 public:
  // Serving from the beginning.
  explicit HealthService(const std::vector<std::string>& services);
  ~HealthService();

  // `this` must outlive the router's calls.
  void AddRoutes(Router& router);

  // From now on not serving; every Watch hears it.
  void SetNotServing();
  // Ends every Watch, and each that comes, with UNAVAILABLE / SERVICE_STOPPING.
  void Stop();

 private:
  using State = grpc::health::v1::HealthCheckResponse::ServingStatus;
  class Watch;

  State StateOf(const std::string& service) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The request has come, if `ok`.
  void Check(ServerCall& call, bool ok);
  void Serve(std::shared_ptr<ServerCall> call);
  void Remove(const std::shared_ptr<Watch>& watch);
  std::vector<std::shared_ptr<Watch>> Watches();

  const std::set<std::string> services_;

  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = grpc::health::v1::HealthCheckResponse::SERVING;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<Watch>> watches_ ABSL_GUARDED_BY(mutex_);  // Shared with their operations.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_HEALTH_SERVICE_H_
