// Where a loop's TLS layers come from.
#ifndef TRANSPORTD_TRANSPORTS_TLS_TLS_LAYERS_H_
#define TRANSPORTD_TRANSPORTS_TLS_TLS_LAYERS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/tls_options.h"
#include "transports/base/executor.h"
#include "transports/reactor/pending_calls.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/stream_layer.h"
#include "transports/tls/system_trust_roots.h"
#include "transports/tls/tls_context.h"
#include "transports/tls/tls_socket.h"

namespace transportd {

// Makes contexts on the executor's threads and keeps those that are in use; besides, up to kMaxKeptCount that were used
// last, of clients that have no key of their own or that resume sessions. So no server's key outlives its server.
// Threading: loop thread only.
class TlsLayers final {
 public:
  // 0 names nothing.
  using RequestId = uint64_t;
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<const StreamLayer>>)>;
  static constexpr size_t kMaxKeptCount = 16;

  // `reactor` and `executor` must outlive this. `trust_roots`: not null; shared with other loops and with the work that
  // the executor has not done yet. `identities`: null for none; shared with other loops.
  TlsLayers(Reactor& reactor, Executor& executor, std::shared_ptr<SystemTrustRoots> trust_roots,
            std::shared_ptr<const TlsIdentities> identities)
      : reactor_(reactor),
        executor_(executor),
        trust_roots_(std::move(trust_roots)),
        identities_(std::move(identities)),
        builds_(reactor) {}
  TlsLayers(const TlsLayers&) = delete;
  TlsLayers& operator=(const TlsLayers&) = delete;

  // A client that verifies must be told its peer's name: INVALID_ARGUMENT / INVALID_SERVER_HOSTNAME. Other errors:
  // UNKNOWN_TLS_IDENTITY; those of TlsContext::Create. `done` is called in a later turn, unless it is called off first.
  RequestId Get(TlsOptions options, TlsSide side, Done done);
  // Destroys `done` uncalled. Nothing for an unknown id.
  void Cancel(RequestId id);

 private:
  using Context = std::shared_ptr<TlsContext>;
  struct Request {
    std::string server_hostname;
    TlsSocket::Timeouts timeouts;
    bool keeps_context = false;
    Done done;
  };

  // Puts the certificate and key in the place of their name.
  absl::Status ResolveIdentity(TlsOptions& options) const;
  void Build(const std::string& key, const TlsOptions& options, TlsSide side);
  void OnBuilt(const std::string& key, const absl::StatusOr<Context>& context);
  void AnswerSoon(RequestId id, absl::StatusOr<Context> context);
  void Answer(RequestId id, const absl::StatusOr<Context>& context);
  void Keep(const Context& context);

  Reactor& reactor_;
  Executor& executor_;
  const std::shared_ptr<SystemTrustRoots> trust_roots_;
  const std::shared_ptr<const TlsIdentities> identities_;
  PendingCalls builds_;

  RequestId last_id_ = 0;
  absl::flat_hash_map<RequestId, Request> requests_;
  // By the context's key: who waits for it to be built; and those that are in use or kept.
  absl::flat_hash_map<std::string, std::vector<RequestId>> building_;
  absl::flat_hash_map<std::string, std::weak_ptr<TlsContext>> contexts_;
  std::list<Context> kept_;  // The last used first.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_TLS_LAYERS_H_
