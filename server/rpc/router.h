// Which method is served by what.
#ifndef TRANSPORTD_SERVER_RPC_ROUTER_H_
#define TRANSPORTD_SERVER_RPC_ROUTER_H_

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "google/protobuf/descriptor.h"
#include "server/rpc/server_call.h"

namespace transportd {

// Serves one call; called on the thread of the call's queue, must not block.
using CallHandler = absl::AnyInvocable<void(std::shared_ptr<ServerCall>) const>;

// Filled first, used then. Threading: immutable after it was filled; Dispatch from any thread.
class Router final {
 public:
  // CHECK-fails when the method has a handler already.
  void Add(const google::protobuf::MethodDescriptor& method, CallHandler handler);
  // `service`: full name; `method`: its last part.
  void Add(std::string_view service, std::string_view method, CallHandler handler);

  // A method that is not known is answered with UNIMPLEMENTED / UNKNOWN_METHOD.
  void Dispatch(std::shared_ptr<ServerCall> call) const;

  // Full names, sorted, each once.
  std::vector<std::string> services() const;

 private:
  std::unordered_map<std::string, CallHandler> handlers_;  // By path: `/service/method`.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_ROUTER_H_
