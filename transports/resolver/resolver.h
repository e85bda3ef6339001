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

  // As Resolve, with all that getaddrinfo(3) answers but families that SocketAddress has not. INVALID_HOST and
  // INVALID_PORT (field `port`) for a byte 0, or more bytes than a name has.
  virtual void Getaddrinfo(GetaddrinfoOptions request,
                           absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) = 0;

  // getnameinfo(3), `flags` its NI_* bits. INVALID_HOST when the host is not numeric, INVALID_FAMILY for a family that
  // has no names.
  virtual void Getnameinfo(SocketAddress address, int flags,
                           absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) = 0;
};

// The system's resolver on `thread_count` threads, at most `max_waiting_count` requests waiting. Its destructor waits
// for the calls under way; requests that wait are answered CANCELLED.
std::unique_ptr<Resolver> CreateThreadResolver(int thread_count, size_t max_waiting_count);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_RESOLVER_H_
