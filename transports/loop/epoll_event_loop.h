// The event loop with real sockets: a reactor, a resolver, and the calls that make transports.
#ifndef TRANSPORTD_TRANSPORTS_LOOP_EPOLL_EVENT_LOOP_H_
#define TRANSPORTD_TRANSPORTS_LOOP_EPOLL_EVENT_LOOP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/api/existing_socket.h"
#include "transports/api/name_lookup.h"
#include "transports/api/sendfile.h"
#include "transports/api/unix.h"
#include "transports/base/clock.h"
#include "transports/base/executor.h"
#include "transports/base/operation.h"
#include "transports/pipe/inherited_pipes.h"
#include "transports/pipe/pipe_kind.h"
#include "transports/reactor/loop_executor.h"
#include "transports/reactor/reactor.h"
#include "transports/reactor/result_operation.h"
#include "transports/resolver/loop_resolver.h"
#include "transports/resolver/resolver.h"
#include "transports/stream/loop_context.h"
#include "transports/subprocess/spawn_child.h"
#include "transports/tls/system_trust_roots.h"
#include "transports/tls/tls_layers.h"

namespace transportd {

// Threading: loop thread only, but for CallSoonThreadsafe and Stop; see Reactor.
class EpollEventLoop final : public EventLoop {
 public:
  struct Options {
    // All must outlive the loop. Null: the system's clock; a resolver and an executor (which starts processes, opens
    // files and reads certificates) of the loop's own, 4 threads each; no inherited pipes.
    Clock* clock = nullptr;
    Resolver* resolver = nullptr;
    Executor* executor = nullptr;
    InheritedPipes* inherited_pipes = nullptr;
    // Whom TLS trusts unless it is told; shared with other loops. Null: the loop's own.
    std::shared_ptr<SystemTrustRoots> trust_roots = {};
    // What TlsOptions::identity may name; shared with other loops. Null: nothing.
    std::shared_ptr<const TlsIdentities> tls_identities = {};
    // A connection or listening socket whose file descriptor would be this or more is refused with EMFILE, to leave the
    // numbers up to RLIMIT_NOFILE to the rest of the process. A server over it closes the connection that it has just
    // accepted, tells the exception handler, and accepts again a second later.
    int descriptor_limit = LoopContext::kNoDescriptorLimit;
    // Descriptors that the process was started with and that programs may use by number, such as the sockets of
    // systemd's socket activation (sd_listen_fds(3)). They stay open: what uses one uses a duplicate.
    std::vector<int> inherited_fds = {};
    // Where transportd-spawn is, which starts the processes; unset: beside this program, in ../libexec/transportd or in
    // ../bin.
    std::optional<std::string> spawn_helper = {};
    // The soft RLIMIT_NOFILE of every child; 0: this program's. For programs that raise their own.
    uint64_t child_descriptor_limit = 0;
    // Children die (SIGKILL) with the executor's threads, and so with this program, however it ends.
    bool kill_children_with_program = false;
  };

  // Fails with the kernel's error when epoll or eventfd cannot be had.
  static absl::StatusOr<std::unique_ptr<EpollEventLoop>> Create(Options options);
  static absl::StatusOr<std::unique_ptr<EpollEventLoop>> Create() { return Create(Options{}); }

  // Closes every transport's and server's descriptors without calling a protocol; callbacks and timers that did not
  // run, and the `done` of unfinished operations, are destroyed uncalled. Subprocesses are killed, with their own
  // process groups, and reaped, which takes a moment.
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
  OperationId CreateDatagramEndpoint(DatagramProtocolFactory factory, CreateDatagramEndpointOptions options,
                                     absl::AnyInvocable<void(absl::StatusOr<DatagramEndpoint>)> done) override;
  OperationId CreateUnixConnection(ProtocolFactory factory, CreateUnixConnectionOptions options,
                                   absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId CreateUnixServer(ProtocolFactory factory, CreateUnixServerOptions options,
                               absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) override;
  OperationId ConnectAcceptedSocket(ProtocolFactory factory, ConnectAcceptedSocketOptions options,
                                    absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId Socketpair(SocketpairOptions options, absl::AnyInvocable<void(absl::StatusOr<SocketPair>)> done) override;
  // socket.fromfd of one of Options::inherited_fds; INVALID_ARGUMENT / UNKNOWN_FD for any other. `gate`: null: every
  // one of them may be used.
  OperationId SocketFromfd(int fd, absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<ExistingSocket>>)> done,
                           std::shared_ptr<SocketGate> gate = nullptr);
  OperationId Getaddrinfo(GetaddrinfoOptions options,
                          absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) override;
  OperationId Getnameinfo(SocketAddress address, int flags,
                          absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) override;
  // The same for an `asker`, as CreateConnectionOptions has it.
  OperationId Getaddrinfo(GetaddrinfoOptions options, std::string asker,
                          absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done);
  OperationId Getnameinfo(SocketAddress address, int flags, std::string asker,
                          absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done);
  OperationId ConnectReadPipe(ProtocolFactory factory, ConnectPipeOptions options,
                              absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId ConnectWritePipe(ProtocolFactory factory, ConnectPipeOptions options,
                               absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) override;
  OperationId SubprocessExec(SubprocessProtocolFactory factory, std::string program, std::vector<std::string> args,
                             SubprocessOptions options,
                             absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) override;
  OperationId SubprocessShell(SubprocessProtocolFactory factory, std::string cmd, SubprocessOptions options,
                              absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) override;
  OperationId Sendfile(std::shared_ptr<Transport> transport, SendfileOptions options,
                       absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) override;
  OperationId StartTls(std::shared_ptr<Transport> transport, StartTlsOptions options,
                       absl::AnyInvocable<void(absl::Status)> done) override;
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
  // What was not given in the options.
  struct Owned {
    std::unique_ptr<Resolver> resolver;
    std::unique_ptr<Executor> executor;
  };

  EpollEventLoop(std::unique_ptr<Reactor> reactor, Owned owned, Options options);

  // Starts what `make(done)` makes; `done` is then called when it is no longer on the list.
  template <typename Result, typename Make>
  OperationId StartOperation(absl::AnyInvocable<void(Result)> done, Make make);
  // The same with what `make(done, layer)` makes, when the layer is there; without `tls` that is null.
  template <typename Result, typename Make>
  OperationId StartWithTls(absl::AnyInvocable<void(absl::StatusOr<Result>)> done, const std::optional<TlsOptions>& tls,
                           TlsSide side, Make make);
  OperationId ConnectPipe(PipeDirection direction, ProtocolFactory factory, ConnectPipeOptions options,
                          absl::AnyInvocable<void(absl::StatusOr<Connection>)> done);
  OperationId StartSubprocess(SubprocessProtocolFactory factory, std::vector<std::string> argv,
                              SubprocessOptions options, absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done);

  // The same for a call that comes to a value; as ResultOperation::Begin.
  template <typename Result>
  OperationId StartResult(absl::AnyInvocable<void(absl::StatusOr<Result>)> done,
                          typename ResultOperation<Result>::Begin begin);

  const Options options_;
  const SpawnSettings spawn_settings_;
  // In the order in which they need each other.
  const Owned owned_;
  const std::unique_ptr<Reactor> reactor_;
  LoopContext context_;
  LoopResolver resolver_;
  LoopExecutor executor_;
  TlsLayers tls_layers_;
  OperationId next_operation_id_ = 1;
  absl::flat_hash_map<OperationId, std::shared_ptr<Operation>> operations_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_LOOP_EPOLL_EVENT_LOOP_H_
