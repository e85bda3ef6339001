// Names to addresses, on blocking threads.
#ifndef TRANSPORTD_TRANSPORTS_RESOLVER_RESOLVER_H_
#define TRANSPORTD_TRANSPORTS_RESOLVER_RESOLVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"

namespace transportd {

// What getaddrinfo(3) is asked. Host: unset is its NULL. The socket type is always SOCK_STREAM here.
struct ResolveRequest {
  HostPort address;
  AddressFamily family = AddressFamily::kUnspecified;
  int flags = 0;
  int proto = 0;
};

// Threading: any thread.
class Resolver {
 public:
  virtual ~Resolver() = default;

  // `done` is called exactly once, on any thread, perhaps before this returns: the addresses in getaddrinfo's order,
  // never none; or NOT_FOUND, UNAVAILABLE … with reason EAI_* and gai_code; or RESOURCE_EXHAUSTED / RESOLVER_BUSY when
  // too many requests wait. A numeric host is answered without a thread.
  virtual void Resolve(ResolveRequest request,
                       absl::AnyInvocable<void(absl::StatusOr<std::vector<SocketAddress>>)> done) = 0;
};

// getaddrinfo(3) on `thread_count` threads, at most `max_waiting_count` requests waiting. Its destructor waits for
// the calls under way; requests that wait are answered CANCELLED.
std::unique_ptr<Resolver> CreateThreadResolver(int thread_count, size_t max_waiting_count);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_RESOLVER_H_
