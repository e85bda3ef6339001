#include "transports/resolver/loop_resolver.h"

#include <utility>

namespace transportd {

LoopResolver::RequestId LoopResolver::Resolve(ResolveRequest request, std::string asker, Done done) {
  auto call = calls_.Add<absl::StatusOr<std::vector<SocketAddress>>>(std::move(done));
  resolver_.Resolve(std::move(request), {.name = std::move(asker), .called_off = std::move(call.called_off)},
                    std::move(call.answer));
  return call.id;
}

LoopResolver::RequestId LoopResolver::Getaddrinfo(
    GetaddrinfoOptions request, std::string asker,
    absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) {
  auto call = calls_.Add<absl::StatusOr<std::vector<AddressInfo>>>(std::move(done));
  resolver_.Getaddrinfo(std::move(request), {.name = std::move(asker), .called_off = std::move(call.called_off)},
                        std::move(call.answer));
  return call.id;
}

LoopResolver::RequestId LoopResolver::Getnameinfo(SocketAddress address, int flags, std::string asker,
                                                  absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) {
  auto call = calls_.Add<absl::StatusOr<NameInfo>>(std::move(done));
  resolver_.Getnameinfo(std::move(address), flags, {.name = std::move(asker), .called_off = std::move(call.called_off)},
                        std::move(call.answer));
  return call.id;
}

}  // namespace transportd
