// A resolver whose answers come on the loop's thread and can be called off.
#ifndef TRANSPORTD_TRANSPORTS_RESOLVER_LOOP_RESOLVER_H_
#define TRANSPORTD_TRANSPORTS_RESOLVER_LOOP_RESOLVER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/reactor/pending_calls.h"
#include "transports/reactor/reactor.h"
#include "transports/resolver/resolver.h"

namespace transportd {

// Threading: loop thread only.
class LoopResolver final {
 public:
  // 0 names nothing.
  using RequestId = PendingCalls::CallId;
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::vector<SocketAddress>>)>;

  // Both must outlive this. Requests that wait when it is destroyed are called off.
  LoopResolver(Reactor& reactor, Resolver& resolver) : resolver_(resolver), calls_(reactor) {}

  // As Resolver has them, but `done` is called on the loop's thread, in a later turn, unless it is called off first.
  // `asker`: Asker::name.
  RequestId Resolve(ResolveRequest request, std::string asker, Done done);

  RequestId Getaddrinfo(GetaddrinfoOptions request, std::string asker,
                        absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done);
  RequestId Getnameinfo(SocketAddress address, int flags, std::string asker,
                        absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done);

  // Destroys `done` uncalled. A resolver's thread that has begun goes on; what it finds is thrown away. Nothing for an
  // unknown id.
  void Cancel(RequestId id) { calls_.Cancel(id); }

  size_t waiting_count() const { return calls_.waiting_count(); }

 private:
  Resolver& resolver_;
  PendingCalls calls_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_LOOP_RESOLVER_H_
