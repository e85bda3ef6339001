// Names to addresses, on blocking threads.
#ifndef TRANSPORTD_TRANSPORTS_RESOLVER_RESOLVER_H_
#define TRANSPORTD_TRANSPORTS_RESOLVER_RESOLVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/name_lookup.h"
#include "transports/base/asker.h"

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
  // too many requests of this asker wait. A numeric host is answered without a thread. What is called off before it has
  // a thread is CANCELLED, and nobody is asked.
  virtual void Resolve(ResolveRequest request, Asker asker,
                       absl::AnyInvocable<void(absl::StatusOr<std::vector<SocketAddress>>)> done) = 0;

  // As Resolve, with all that getaddrinfo(3) answers but families that SocketAddress has not. INVALID_HOST and
  // INVALID_PORT (field `port`) for a byte 0, or more bytes than a name has.
  virtual void Getaddrinfo(GetaddrinfoOptions request, Asker asker,
                           absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) = 0;

  // getnameinfo(3), `flags` its NI_* bits. INVALID_HOST when the host is not numeric, INVALID_FAMILY for a family that
  // has no names.
  virtual void Getnameinfo(SocketAddress address, int flags, Asker asker,
                           absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) = 0;
};

// The system's resolver on `thread_count` threads, of which one asker has as many as ThreadExecutor says, at most
// `max_waiting_count` of its requests waiting. Its destructor waits for the calls under way; requests that wait are
// answered CANCELLED.
std::unique_ptr<Resolver> CreateThreadResolver(int thread_count, size_t max_waiting_count);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_RESOLVER_H_
