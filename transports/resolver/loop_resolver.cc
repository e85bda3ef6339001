#include "transports/resolver/loop_resolver.h"

#include <utility>

namespace transportd {

LoopResolver::RequestId LoopResolver::Resolve(ResolveRequest request, Done done) {
  auto call = calls_.Add<absl::StatusOr<std::vector<SocketAddress>>>(std::move(done));
  resolver_.Resolve(std::move(request), std::move(call.answer));
  return call.id;
}

}  // namespace transportd
