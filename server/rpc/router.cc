#include "server/rpc/router.h"

#include <set>
#include <utility>

#include "server/rpc/grpc_status.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {

void Router::Add(const google::protobuf::MethodDescriptor& method, CallHandler handler) {
  Add(method.service()->full_name(), method.name(), std::move(handler));
}

void Router::Add(std::string_view service, std::string_view method, CallHandler handler) {
  CHECK(handlers_.emplace(StrCat("/", service, "/", method), std::move(handler)).second);
}

void Router::Dispatch(std::shared_ptr<ServerCall> call) const {
  const auto found = handlers_.find(call->path());
  if (found == handlers_.end()) {
    call->Finish(ToGrpcStatus(MakeError(absl::StatusCode::kUnimplemented, "UNKNOWN_METHOD",
                                        StrCat("this service has no method ", call->path()))));
    return;
  }
  found->second(std::move(call));
}

std::vector<std::string> Router::services() const {
  std::set<std::string> names;
  for (const auto& [path, handler] : handlers_) names.insert(path.substr(1, path.rfind('/') - 1));
  return {names.begin(), names.end()};
}

}  // namespace transportd
