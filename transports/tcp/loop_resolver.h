// A resolver whose answers come on the loop's thread and can be called off.
#ifndef TRANSPORTD_TRANSPORTS_TCP_LOOP_RESOLVER_H_
#define TRANSPORTD_TRANSPORTS_TCP_LOOP_RESOLVER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/base/mutex.h"
#include "transports/reactor/reactor.h"
#include "transports/resolver/resolver.h"

namespace transportd {

// Threading: loop thread only.
class LoopResolver final {
 public:
  // 0 names nothing.
  using RequestId = uint64_t;
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::vector<SocketAddress>>)>;

  // Both must outlive this.
  LoopResolver(Reactor& reactor, Resolver& resolver);
  LoopResolver(const LoopResolver&) = delete;
  LoopResolver& operator=(const LoopResolver&) = delete;
  // Requests that wait are called off.
  ~LoopResolver();

  // As Resolver::Resolve, but `done` is called on the loop's thread, in a later turn, unless it is called off first.
  RequestId Resolve(ResolveRequest request, Done done);

  // Destroys `done` uncalled. The resolver's thread goes on; what it finds is thrown away. Nothing for an unknown id.
  void Cancel(RequestId id);

  size_t waiting_count() const { return waiting_.size(); }

 private:
  // What the resolver's threads hold, because they may answer when the loop is gone.
  struct Door {
    Mutex mutex;
    LoopResolver* owner ABSL_GUARDED_BY(mutex) = nullptr;  // Null once it is gone. Written on the loop's thread only.
  };

  static void Answer(const std::shared_ptr<Door>& door, RequestId id,
                     absl::StatusOr<std::vector<SocketAddress>> addresses);
  void OnAnswer(RequestId id, absl::StatusOr<std::vector<SocketAddress>> addresses);

  Reactor& reactor_;
  Resolver& resolver_;
  // shared_ptr: owned by this and by the requests under way.
  const std::shared_ptr<Door> door_;
  RequestId next_id_ = 1;
  absl::flat_hash_map<RequestId, Done> waiting_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_LOOP_RESOLVER_H_
