// The event loop with real sockets: a reactor, a resolver, and the calls that make transports.
#ifndef TRANSPORTD_TRANSPORTS_LOOP_EPOLL_EVENT_LOOP_H_
#define TRANSPORTD_TRANSPORTS_LOOP_EPOLL_EVENT_LOOP_H_

#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/base/clock.h"
#include "transports/reactor/reactor.h"
#include "transports/resolver/resolver.h"
#include "transports/stream/loop_context.h"
#include "transports/tcp/loop_resolver.h"
#include "transports/tcp/operation.h"

namespace transportd {

// Threading: loop thread only, but for CallSoonThreadsafe and Stop; see Reactor.
class EpollEventLoop final : public EventLoop {
 public:
  struct Options {
    // Both must outlive the loop. Null: the system's clock; a resolver of the loop's own with 4 threads.
    Clock* clock = nullptr;
    Resolver* resolver = nullptr;
    // A connection or listening socket whose file descriptor would be this or more is refused with EMFILE, to leave the
    // numbers up to RLIMIT_NOFILE to the rest of the process. A server over it closes the connection that it has just
    // accepted, tells the exception handler, and accepts again a second later.
    int descriptor_limit = LoopContext::kNoDescriptorLimit;
  };

  // Fails with the kernel's error when epoll or eventfd cannot be had.
  static absl::StatusOr<std::unique_ptr<EpollEventLoop>> Create(Options options);
  static absl::StatusOr<std::unique_ptr<EpollEventLoop>> Create() { return Create(Options{}); }

  // Closes every transport's and server's descriptors without calling a protocol; callbacks and timers that did not
  // run, and the `done` of unfinished operations, are destroyed uncalled.
  ~EpollEventLoop() override;

  // EventLoop
  void CallSoon(absl::AnyInvocable<void()> callback) override;
  void CallSoonThreadsafe(absl::AnyInvocable<void()> callback) override;
  TimerId CallLater(Duration delay, absl::AnyInvocable<void()> callback) override;
  TimerId CallAt(TimePoint when, absl::AnyInvocable<void()> callback) override;
  bool CancelTimer(TimerId timer) override;
  TimePoint Time() const override;
  void RunForever() override;
  void Stop() override;
  OperationId CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                               absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId CreateServer(ProtocolFactory factory, CreateServerOptions options,
                           absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) override;
  void CancelOperation(OperationId operation) override;
  void SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) override;

  // What it runs on: turns by hand, turn-end callbacks, watches.
  Reactor& reactor();

  // What is alive, for tests and metrics.
  struct Counts {
    size_t operations = 0;
    size_t transports = 0;
    size_t servers = 0;
  };
  Counts GetCounts() const;

  // What transports of this loop are made with, for other makers of them.
  LoopContext& context() { return context_; }

 private:
  EpollEventLoop(std::unique_ptr<Reactor> reactor, std::unique_ptr<Resolver> owned_resolver, Resolver& resolver,
                 int descriptor_limit);

  // Starts what `make(done)` makes; `done` is then called when it is no longer on the list.
  template <typename Result, typename Make>
  OperationId StartOperation(absl::AnyInvocable<void(absl::StatusOr<Result>)> done, Make make);

  // In the order in which they need each other.
  const std::unique_ptr<Resolver> owned_resolver_;
  const std::unique_ptr<Reactor> reactor_;
  LoopContext context_;
  LoopResolver resolver_;
  OperationId next_operation_id_ = 1;
  absl::flat_hash_map<OperationId, std::shared_ptr<Operation>> operations_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_LOOP_EPOLL_EVENT_LOOP_H_
