// Connects to the first of several addresses that answers.
#ifndef TRANSPORTD_TRANSPORTS_TCP_CONNECTOR_H_
#define TRANSPORTD_TRANSPORTS_TCP_CONNECTOR_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "transports/api/address.h"
#include "transports/api/error.h"
#include "transports/api/event_loop.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"
#include "transports/tcp/connect_attempt.h"

namespace transportd {

// asyncio's staggered_race over _connect_sock, and Happy Eyeballs (RFC 8305, section 5): an address is tried when the
// one before it failed or, with a delay, when that long has passed since it was tried; the first that connects wins and
// the others are given up.
// Threading: loop thread only.
class Connector final {
 public:
  struct Options {
    std::vector<SocketAddress> remotes;  // Not empty; in the order to try.
    std::optional<std::vector<SocketAddress>> locals;
    std::optional<Duration> delay;                           // Unset: one after the other. 0: all at once.
    int descriptor_limit = LoopContext::kNoDescriptorLimit;  // See AdmitSocket.
    SocketGate* gate = nullptr;                              // See ConnectAttempt.
  };
  // Called once, perhaps before Start returns, unless Cancel comes first: the connected socket and its family, or
  // none. May call Cancel; must not destroy the connector.
  using Done = absl::AnyInvocable<void(UniqueFd, AddressFamily)>;

  Connector(Reactor& reactor, Options options, Done done);
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;
  ~Connector() { Cancel(); }

  void Start();
  // Closes every socket. Idempotent.
  void Cancel();
  // Of every attempt so far, in the order tried.
  std::vector<TransportError> Errors() const;

 private:
  void StartNext();
  void OnDecided(size_t index);
  void Finish(UniqueFd fd, AddressFamily family = AddressFamily::kUnspecified);
  void FinishWith(size_t index);

  Reactor& reactor_;
  const Options options_;
  Done done_;
  // One for each remote tried so far.
  std::vector<std::unique_ptr<ConnectAttempt>> attempts_;
  size_t undecided_count_ = 0;
  TimerId timer_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TCP_CONNECTOR_H_
