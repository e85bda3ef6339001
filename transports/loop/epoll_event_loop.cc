#include "transports/loop/epoll_event_loop.h"

#include <algorithm>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/gated_path.h"
#include "transports/base/owned_socket.h"
#include "transports/base/socket_place.h"
#include "transports/base/str_cat.h"
#include "transports/base/thread_executor.h"
#include "transports/datagram/create_datagram_endpoint.h"
#include "transports/pipe/connect_pipe.h"
#include "transports/sendfile/sendfile_operation.h"
#include "transports/stream/connect_socket.h"
#include "transports/stream/serve_socket.h"
#include "transports/stream/stream_transport.h"
#include "transports/subprocess/spawn_plan.h"
#include "transports/subprocess/subprocess_exec.h"
#include "transports/tcp/create_connection.h"
#include "transports/tcp/create_options.h"
#include "transports/tcp/create_server.h"
#include "transports/tls/start_tls.h"
#include "transports/tls/tls_first.h"
#include "transports/unix/create_unix_connection.h"
#include "transports/unix/create_unix_options.h"
#include "transports/unix/create_unix_server.h"
#include "transports/unix/socket_file.h"

namespace transportd {
namespace {

// For the resolver and the executor of a loop's own.
constexpr int kThreadCount = 4;
constexpr size_t kMaxWaitingCount = 1024;

// The calls with a `sock`. `arguments`: what came of checking `options`.
template <typename Options, typename Done>
std::shared_ptr<Operation> ConnectSocket(LoopContext& context, ProtocolFactory factory, const Options& options,
                                         absl::Status arguments, std::shared_ptr<const StreamLayer> layer, Done done) {
  return std::make_shared<ConnectSocketOperation>(
      context, std::move(factory),
      ConnectSocketOperation::Options{.sock = options.sock,
                                      .arguments = std::move(arguments),
                                      .write_buffer_limits = options.write_buffer_limits,
                                      .layer = std::move(layer)},
      std::move(done));
}

template <typename Options, typename Done>
std::shared_ptr<Operation> ServeSocket(LoopContext& context, ProtocolFactory factory, const Options& options,
                                       absl::Status arguments, bool cleanup_socket,
                                       std::shared_ptr<const StreamLayer> layer, Done done) {
  ServeSocketOperation::Options serve{.sock = options.sock,
                                      .arguments = std::move(arguments),
                                      .server = {.server = {.backlog = options.backlog,
                                                            .write_buffer_limits = options.write_buffer_limits,
                                                            .layer = std::move(layer),
                                                            .gate = options.gate},
                                                 .start_serving = options.start_serving},
                                      .make_on_closing = nullptr};
  if (cleanup_socket) {
    const Symlinks symlinks = ForbidsSymlinks(options.gate.get()) ? Symlinks::kForbid : Symlinks::kFollow;
    serve.make_on_closing = [symlinks](const BoundSocket& socket) {
      return SocketFileRemover(socket.address.path, symlinks);
    };
  }
  return std::make_shared<ServeSocketOperation>(context, std::move(factory), std::move(serve), std::move(done));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EpollEventLoop>> EpollEventLoop::Create(Options options) {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor =
      Reactor::Create(options.clock != nullptr ? *options.clock : SystemClock());
  if (!reactor.ok()) return reactor.status();
  Owned owned;
  if (options.resolver == nullptr) {
    owned.resolver = CreateThreadResolver(kThreadCount, kMaxWaitingCount);
    options.resolver = owned.resolver.get();
  }
  if (options.executor == nullptr) {
    owned.executor = std::make_unique<ThreadExecutor>(kThreadCount, kMaxWaitingCount);
    options.executor = owned.executor.get();
  }
  if (options.trust_roots == nullptr) options.trust_roots = std::make_shared<SystemTrustRoots>();
  // Not make_unique: the constructor is private.
  return std::unique_ptr<EpollEventLoop>(new EpollEventLoop(*std::move(reactor), std::move(owned), std::move(options)));
}

EpollEventLoop::EpollEventLoop(std::unique_ptr<Reactor> reactor, Owned owned, Options options)
    : options_(std::move(options)),
      spawn_settings_{.helper_path = options_.spawn_helper ? *options_.spawn_helper : FindSpawnHelper(),
                      .descriptor_limit = options_.descriptor_limit,
                      .child_descriptor_limit = options_.child_descriptor_limit,
                      .kill_with_program = options_.kill_children_with_program},
      owned_(std::move(owned)),
      reactor_(std::move(reactor)),
      context_(*reactor_, options_.descriptor_limit),
      resolver_(*reactor_, *options_.resolver),
      executor_(*reactor_, *options_.executor),
      tls_layers_(*reactor_, *options_.executor, options_.trust_roots, options_.tls_identities) {}

EpollEventLoop::~EpollEventLoop() {
  // Moved out, because what they own may call back.
  const auto operations = std::exchange(operations_, {});
}

void EpollEventLoop::CallSoon(absl::AnyInvocable<void()> callback) { reactor_->CallSoon(std::move(callback)); }

void EpollEventLoop::CallSoonThreadsafe(absl::AnyInvocable<void()> callback) {
  reactor_->CallSoonThreadsafe(std::move(callback));
}

TimerId EpollEventLoop::CallLater(Duration delay, absl::AnyInvocable<void()> callback) {
  return reactor_->CallLater(delay, std::move(callback));
}

TimerId EpollEventLoop::CallAt(TimePoint when, absl::AnyInvocable<void()> callback) {
  return reactor_->CallAt(when, std::move(callback));
}

bool EpollEventLoop::CancelTimer(TimerId timer) { return reactor_->CancelTimer(timer); }

TimePoint EpollEventLoop::Time() const { return reactor_->Time(); }

void EpollEventLoop::RunForever() { reactor_->RunForever(); }

void EpollEventLoop::Stop() { reactor_->Stop(); }

template <typename Result, typename Make>
OperationId EpollEventLoop::StartOperation(absl::AnyInvocable<void(Result)> done, Make make) {
  reactor_->AssertInLoopThread();
  const OperationId id = next_operation_id_++;
  const std::shared_ptr<Operation> operation = make([this, id, done = std::move(done)](Result result) mutable {
    const auto it = operations_.find(id);
    reactor_->DeferredDelete(std::move(it->second));
    operations_.erase(it);
    done(std::move(result));
  });
  operations_.emplace(id, operation);
  operation->Start();
  return id;
}

template <typename Result, typename Make>
OperationId EpollEventLoop::StartWithTls(absl::AnyInvocable<void(absl::StatusOr<Result>)> done,
                                         const std::optional<TlsOptions>& tls, TlsSide side, Make make) {
  return StartOperation<absl::StatusOr<Result>>(std::move(done), [&](auto when_done) -> std::shared_ptr<Operation> {
    if (!tls) return make(std::move(when_done), std::shared_ptr<const StreamLayer>());
    return std::make_shared<TlsFirstOperation<Result>>(*reactor_, tls_layers_, *tls, side, std::move(make),
                                                       std::move(when_done));
  });
}

template <typename Result>
OperationId EpollEventLoop::StartResult(absl::AnyInvocable<void(absl::StatusOr<Result>)> done,
                                        typename ResultOperation<Result>::Begin begin) {
  return StartOperation<absl::StatusOr<Result>>(std::move(done), [&](auto when_done) {
    return std::make_shared<ResultOperation<Result>>(*reactor_, std::move(begin), std::move(when_done));
  });
}

OperationId EpollEventLoop::CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                                             absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  if (options.tls && !options.tls->server_hostname && options.sock == nullptr) {
    options.tls->server_hostname = options.remote.host;
  }
  return StartWithTls<Connection>(
      std::move(done), options.tls, TlsSide::kClient,
      [this, factory = std::move(factory), options](auto when_done, auto layer) mutable -> std::shared_ptr<Operation> {
        if (options.sock != nullptr) {
          return ConnectSocket(context_, std::move(factory), options, ValidateCreateConnection(options),
                               std::move(layer), std::move(when_done));
        }
        return std::make_shared<CreateConnectionOperation>(context_, resolver_, std::move(factory), std::move(options),
                                                           std::move(layer), std::move(when_done));
      });
}

OperationId EpollEventLoop::CreateServer(ProtocolFactory factory, CreateServerOptions options,
                                         absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) {
  return StartWithTls<std::shared_ptr<Server>>(
      std::move(done), options.tls, TlsSide::kServer,
      [this, factory = std::move(factory), options](auto when_done, auto layer) mutable -> std::shared_ptr<Operation> {
        if (options.sock != nullptr) {
          return ServeSocket(context_, std::move(factory), options, ValidateCreateServer(options),
                             /*cleanup_socket=*/false, std::move(layer), std::move(when_done));
        }
        return std::make_shared<CreateServerOperation>(context_, resolver_, std::move(factory), std::move(options),
                                                       std::move(layer), std::move(when_done));
      });
}

OperationId EpollEventLoop::StartTls(std::shared_ptr<Transport> transport, StartTlsOptions options,
                                     absl::AnyInvocable<void(absl::Status)> done) {
  std::shared_ptr<StreamTransport> stream = std::dynamic_pointer_cast<StreamTransport>(std::move(transport));
  CHECK(stream != nullptr);
  return StartOperation<absl::Status>(std::move(done), [&](auto when_done) {
    return std::make_shared<StartTlsOperation>(*reactor_, tls_layers_, std::move(stream), std::move(options),
                                               std::move(when_done));
  });
}

OperationId EpollEventLoop::CreateDatagramEndpoint(DatagramProtocolFactory factory,
                                                   CreateDatagramEndpointOptions options,
                                                   absl::AnyInvocable<void(absl::StatusOr<DatagramEndpoint>)> done) {
  return StartOperation<absl::StatusOr<DatagramEndpoint>>(std::move(done), [&](auto when_done) {
    return std::make_shared<CreateDatagramEndpointOperation>(context_, resolver_, std::move(factory),
                                                             std::move(options), std::move(when_done));
  });
}

OperationId EpollEventLoop::CreateUnixConnection(ProtocolFactory factory, CreateUnixConnectionOptions options,
                                                 absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartWithTls<Connection>(
      std::move(done), options.tls, TlsSide::kClient,
      [this, factory = std::move(factory), options](auto when_done, auto layer) mutable -> std::shared_ptr<Operation> {
        if (options.sock != nullptr) {
          return ConnectSocket(context_, std::move(factory), options, ValidateCreateUnixConnection(options),
                               std::move(layer), std::move(when_done));
        }
        return std::make_shared<CreateUnixConnectionOperation>(context_, std::move(factory), std::move(options),
                                                               std::move(layer), std::move(when_done));
      });
}

OperationId EpollEventLoop::CreateUnixServer(ProtocolFactory factory, CreateUnixServerOptions options,
                                             absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) {
  return StartWithTls<std::shared_ptr<Server>>(
      std::move(done), options.tls, TlsSide::kServer,
      [this, factory = std::move(factory), options](auto when_done, auto layer) mutable -> std::shared_ptr<Operation> {
        if (options.sock != nullptr) {
          return ServeSocket(context_, std::move(factory), options, ValidateCreateUnixServer(options),
                             options.cleanup_socket, std::move(layer), std::move(when_done));
        }
        return std::make_shared<CreateUnixServerOperation>(context_, std::move(factory), std::move(options),
                                                           std::move(layer), std::move(when_done));
      });
}

OperationId EpollEventLoop::ConnectAcceptedSocket(ProtocolFactory factory, ConnectAcceptedSocketOptions options,
                                                  absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartWithTls<Connection>(
      std::move(done), options.tls, TlsSide::kServer,
      [this, factory = std::move(factory), options](auto when_done, auto layer) mutable -> std::shared_ptr<Operation> {
        return ConnectSocket(context_, std::move(factory), options, ValidateConnectAcceptedSocket(options),
                             std::move(layer), std::move(when_done));
      });
}

OperationId EpollEventLoop::Socketpair(SocketpairOptions options,
                                       absl::AnyInvocable<void(absl::StatusOr<SocketPair>)> done) {
  return StartResult<SocketPair>(std::move(done), [this, options](auto settle) {
    settle(MakeSocketpair(options.family, options.type, context_.descriptor_limit()));
    return nullptr;
  });
}

OperationId EpollEventLoop::SocketFromfd(int fd,
                                         absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<ExistingSocket>>)> done,
                                         std::shared_ptr<SocketGate> gate) {
  return StartResult<std::shared_ptr<ExistingSocket>>(std::move(done), [this, fd, gate = std::move(gate)](auto settle) {
    const std::vector<int>& allowed = options_.inherited_fds;
    absl::Status may_open;
    for (const bool is_write : {false, true}) {
      if (gate != nullptr && may_open.ok()) may_open = gate->MayOpen(StrCat("fd:", fd), is_write);
    }
    if (!may_open.ok()) {
      settle(std::move(may_open));
    } else if (std::find(allowed.begin(), allowed.end(), fd) == allowed.end()) {
      settle(InvalidArgument("UNKNOWN_FD", "fd", "no descriptor that was inherited and may be used by number"));
    } else {
      settle(DuplicateSocket(fd, context_.descriptor_limit()));
    }
    return nullptr;
  });
}

OperationId EpollEventLoop::Getaddrinfo(GetaddrinfoOptions options,
                                        absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) {
  return Getaddrinfo(std::move(options), /*asker=*/"", std::move(done));
}

OperationId EpollEventLoop::Getnameinfo(SocketAddress address, int flags,
                                        absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) {
  return Getnameinfo(std::move(address), flags, /*asker=*/"", std::move(done));
}

OperationId EpollEventLoop::Getaddrinfo(GetaddrinfoOptions options, std::string asker,
                                        absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) {
  return StartResult<std::vector<AddressInfo>>(
      std::move(done), [this, options = std::move(options), asker = std::move(asker)](auto settle) mutable {
        const LoopResolver::RequestId request =
            resolver_.Getaddrinfo(std::move(options), std::move(asker), std::move(settle));
        return [this, request] { resolver_.Cancel(request); };
      });
}

OperationId EpollEventLoop::Getnameinfo(SocketAddress address, int flags, std::string asker,
                                        absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) {
  return StartResult<NameInfo>(
      std::move(done), [this, address = std::move(address), flags, asker = std::move(asker)](auto settle) mutable {
        const LoopResolver::RequestId request =
            resolver_.Getnameinfo(std::move(address), flags, std::move(asker), std::move(settle));
        return [this, request] { resolver_.Cancel(request); };
      });
}

OperationId EpollEventLoop::ConnectReadPipe(ProtocolFactory factory, ConnectPipeOptions options,
                                            absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return ConnectPipe(PipeDirection::kRead, std::move(factory), std::move(options), std::move(done));
}

OperationId EpollEventLoop::ConnectWritePipe(ProtocolFactory factory, ConnectPipeOptions options,
                                             absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return ConnectPipe(PipeDirection::kWrite, std::move(factory), std::move(options), std::move(done));
}

OperationId EpollEventLoop::ConnectPipe(PipeDirection direction, ProtocolFactory factory, ConnectPipeOptions options,
                                        absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartOperation<absl::StatusOr<Connection>>(std::move(done), [&](auto when_done) {
    return std::make_shared<ConnectPipeOperation>(context_, executor_, options_.inherited_pipes, direction,
                                                  std::move(factory), std::move(options), std::move(when_done));
  });
}

OperationId EpollEventLoop::SubprocessExec(SubprocessProtocolFactory factory, std::string program,
                                           std::vector<std::string> args, SubprocessOptions options,
                                           absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) {
  args.insert(args.begin(), std::move(program));
  return StartSubprocess(std::move(factory), std::move(args), std::move(options), std::move(done));
}

OperationId EpollEventLoop::SubprocessShell(SubprocessProtocolFactory factory, std::string cmd,
                                            SubprocessOptions options,
                                            absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) {
  return StartSubprocess(std::move(factory), ShellArguments(std::move(cmd)), std::move(options), std::move(done));
}

OperationId EpollEventLoop::StartSubprocess(SubprocessProtocolFactory factory, std::vector<std::string> argv,
                                            SubprocessOptions options,
                                            absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) {
  return StartOperation<absl::StatusOr<Subprocess>>(std::move(done), [&](auto when_done) {
    return std::make_shared<SubprocessExecOperation>(context_, executor_, spawn_settings_, std::move(factory),
                                                     std::move(argv), std::move(options), std::move(when_done));
  });
}

OperationId EpollEventLoop::Sendfile(std::shared_ptr<Transport> transport, SendfileOptions options,
                                     absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) {
  std::shared_ptr<StreamTransport> stream = std::dynamic_pointer_cast<StreamTransport>(std::move(transport));
  if (stream == nullptr) {
    return StartResult<uint64_t>(std::move(done), [](auto settle) {
      settle(MakeError(absl::StatusCode::kUnimplemented, "WRONG_KIND", "sendfile is not supported for this transport"));
      return nullptr;
    });
  }
  return StartOperation<absl::StatusOr<uint64_t>>(std::move(done), [&](auto when_done) {
    return std::make_shared<SendfileOperation>(context_, executor_, std::move(stream), std::move(options),
                                               std::move(when_done));
  });
}

void EpollEventLoop::CancelOperation(OperationId operation) {
  reactor_->AssertInLoopThread();
  const auto it = operations_.find(operation);
  if (it != operations_.end()) it->second->Cancel();
}

void EpollEventLoop::SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) {
  reactor_->AssertInLoopThread();
  context_.SetExceptionHandler(std::move(handler));
}

Reactor& EpollEventLoop::reactor() { return *reactor_; }

EpollEventLoop::Counts EpollEventLoop::GetCounts() const {
  return {.operations = operations_.size(),
          .transports = context_.transports().size(),
          .servers = context_.servers().size()};
}

}  // namespace transportd
