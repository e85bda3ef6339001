// The resolver on blocking threads.
#ifndef TRANSPORTD_TRANSPORTS_RESOLVER_THREAD_RESOLVER_H_
#define TRANSPORTD_TRANSPORTS_RESOLVER_THREAD_RESOLVER_H_

#include <cstddef>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/base/thread_executor.h"
#include "transports/resolver/resolver.h"

namespace transportd {

// `look_up` is a seam for tests. Threading: any thread; the destructor must not run in a `done`.
class ThreadResolver final : public Resolver {
 public:
  using Result = absl::StatusOr<std::vector<SocketAddress>>;
  using Done = absl::AnyInvocable<void(Result)>;
  using LookUp = Result (*)(const ResolveRequest&);

  ThreadResolver(int thread_count, size_t max_waiting_count, LookUp look_up);

  void Resolve(ResolveRequest request, Asker asker, Done done) override;
  void Getaddrinfo(GetaddrinfoOptions request, Asker asker,
                   absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) override;
  void Getnameinfo(SocketAddress address, int flags, Asker asker,
                   absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) override;

 private:
  const LookUp look_up_;
  ThreadExecutor executor_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_RESOLVER_THREAD_RESOLVER_H_
