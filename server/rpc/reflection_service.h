// grpc.reflection: lets grpcurl and its like ask for the protos.
// https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
#ifndef TRANSPORTD_SERVER_RPC_REFLECTION_SERVICE_H_
#define TRANSPORTD_SERVER_RPC_REFLECTION_SERVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "grpc/reflection/v1/reflection.pb.h"
#include "server/policy/authorizer.h"
#include "server/rpc/router.h"

namespace transportd {

// Packages v1 and v1alpha, which differ in nothing but the name. gRPC's own plugin is not used: it knows only
// v1alpha, and its threads are its own. Threading: immutable after construction.
class ReflectionService final {
 public:
  // `services`: what it lists. `authorizer` outlives it.
  ReflectionService(std::vector<std::string> services, const Authorizer& authorizer);

  // `this` must outlive the router's calls.
  void AddRoutes(Router& router);

  // The answer to one question.
  grpc::reflection::v1::ServerReflectionResponse Answer(
      const grpc::reflection::v1::ServerReflectionRequest& request) const;

 private:
  void Serve(const std::string& method, const std::shared_ptr<ServerCall>& call) const;
  void AnswerNext(const std::shared_ptr<ServerCall>& call) const;

  std::vector<std::string> services_;
  const Authorizer& authorizer_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_REFLECTION_SERVICE_H_
