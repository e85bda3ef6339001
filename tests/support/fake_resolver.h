// A resolver that answers from a table, at once or when told.
#ifndef TRANSPORTD_TESTS_SUPPORT_FAKE_RESOLVER_H_
#define TRANSPORTD_TESTS_SUPPORT_FAKE_RESOLVER_H_

#include <map>
#include <string>
#include <vector>

#include "transports/base/mutex.h"
#include "transports/resolver/resolver.h"

namespace transportd {

// Threading: any thread. An unset host is looked up as "".
class FakeResolver final : public Resolver {
 public:
  using Answer = absl::StatusOr<std::vector<SocketAddress>>;
  using Done = absl::AnyInvocable<void(Answer)>;

  ~FakeResolver() override;

  // What `host` resolves to; the port is that of the request. Replaces an earlier answer. A host without an answer is
  // NOT_FOUND / EAI_NONAME.
  void Set(const std::string& host, Answer answer);
  // As Set, with numeric addresses, each of the family that it looks like.
  void SetHosts(const std::string& host, const std::vector<std::string>& addresses);

  // While held, requests wait for AnswerNext or AnswerAll.
  void Hold();
  // False when none waits.
  bool AnswerNext();
  // Also ends Hold.
  void AnswerAll();

  size_t waiting_count() const;
  // All requests so far, answered or not.
  std::vector<ResolveRequest> requests() const;
  // Who asked, of each call so far.
  std::vector<Asker> askers() const;

  void Resolve(ResolveRequest request, Asker asker, Done done) override;
  // The table's addresses, as streams unless another type is asked for; the port is the service's number.
  void Getaddrinfo(GetaddrinfoOptions request, Asker asker,
                   absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) override;
  // The host of the table that has the address, and the port's number. Never held.
  void Getnameinfo(SocketAddress address, int flags, Asker asker,
                   absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) override;

 private:
  struct Waiting {
    ResolveRequest request;
    Done done;
  };

  void AnswerOne(Waiting waiting);

  mutable Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Answer> answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<ResolveRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<Asker> askers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_FAKE_RESOLVER_H_
