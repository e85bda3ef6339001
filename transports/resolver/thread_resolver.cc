#include "transports/resolver/thread_resolver.h"

#include <optional>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/sockaddr.h"
#include "transports/resolver/lookup.h"
#include "transports/resolver/name_lookup.h"

namespace transportd {
namespace {

// Calls `done` with what `look_up` answers on one of the executor's threads.
template <typename Result, typename LookUp>
void OnThread(ThreadExecutor& executor, Asker&& asker, LookUp look_up,
              absl::AnyInvocable<void(absl::StatusOr<Result>)> done) {
  executor.SubmitFor(
      std::move(asker), [look_up = std::move(look_up), done = std::move(done)](absl::Status status) mutable {
        if (status.ok()) {
          done(look_up());
        } else if (status.code() == absl::StatusCode::kResourceExhausted) {
          done(MakeError(status.code(), "RESOLVER_BUSY", "too many names wait to be resolved; no more are taken"));
        } else {
          done(MakeError(status.code(), "CANCELLED", "the lookup was called off"));
        }
      });
}

}  // namespace

ThreadResolver::ThreadResolver(int thread_count, size_t max_waiting_count, LookUp look_up)
    : look_up_(look_up), executor_(thread_count, max_waiting_count) {}

void ThreadResolver::Resolve(ResolveRequest request, Asker asker, Done done) {
  if (absl::Status status = ValidateRequest(request); !status.ok()) return done(std::move(status));
  if (std::optional<Result> result = LookUpNumeric(request); result.has_value()) return done(*std::move(result));
  OnThread<std::vector<SocketAddress>>(
      executor_, std::move(asker), [look_up = look_up_, request = std::move(request)] { return look_up(request); },
      std::move(done));
}

void ThreadResolver::Getaddrinfo(GetaddrinfoOptions request, Asker asker,
                                 absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) {
  if (absl::Status status = ValidateGetaddrinfo(request); !status.ok()) return done(std::move(status));
  OnThread<std::vector<AddressInfo>>(
      executor_, std::move(asker), [request = std::move(request)] { return LookUpAddressInfo(request); },
      std::move(done));
}

void ThreadResolver::Getnameinfo(SocketAddress address, int flags, Asker asker,
                                 absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) {
  absl::StatusOr<RawAddress> raw = ToNamedAddress(address);
  if (!raw.ok()) return done(raw.status());
  OnThread<NameInfo>(
      executor_, std::move(asker), [raw = *std::move(raw), flags] { return LookUpNameInfo(raw, flags); },
      std::move(done));
}

std::unique_ptr<Resolver> CreateThreadResolver(int thread_count, size_t max_waiting_count) {
  return std::make_unique<ThreadResolver>(thread_count, max_waiting_count, &LookUpName);
}

}  // namespace transportd
