#include "transports/loop/epoll_event_loop.h"

#include <utility>

#include "transports/tcp/create_connection.h"
#include "transports/tcp/create_server.h"

namespace transportd {
namespace {

// For the resolver of a loop's own.
constexpr int kResolverThreadCount = 4;
constexpr size_t kMaxWaitingResolutionCount = 1024;

}  // namespace

absl::StatusOr<std::unique_ptr<EpollEventLoop>> EpollEventLoop::Create(Options options) {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor =
      Reactor::Create(options.clock != nullptr ? *options.clock : SystemClock());
  if (!reactor.ok()) return reactor.status();
  std::unique_ptr<Resolver> owned_resolver;
  if (options.resolver == nullptr) {
    owned_resolver = CreateThreadResolver(kResolverThreadCount, kMaxWaitingResolutionCount);
  }
  Resolver& resolver = options.resolver != nullptr ? *options.resolver : *owned_resolver;
  // Not make_unique: the constructor is private.
  return std::unique_ptr<EpollEventLoop>(
      new EpollEventLoop(*std::move(reactor), std::move(owned_resolver), resolver, options.descriptor_limit));
}

EpollEventLoop::EpollEventLoop(std::unique_ptr<Reactor> reactor, std::unique_ptr<Resolver> owned_resolver,
                               Resolver& resolver, int descriptor_limit)
    : owned_resolver_(std::move(owned_resolver)),
      reactor_(std::move(reactor)),
      context_(*reactor_, descriptor_limit),
      resolver_(*reactor_, resolver) {}

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
OperationId EpollEventLoop::StartOperation(absl::AnyInvocable<void(absl::StatusOr<Result>)> done, Make make) {
  reactor_->AssertInLoopThread();
  const OperationId id = next_operation_id_++;
  const std::shared_ptr<Operation> operation =
      make([this, id, done = std::move(done)](absl::StatusOr<Result> result) mutable {
        const auto it = operations_.find(id);
        reactor_->DeferredDelete(std::move(it->second));
        operations_.erase(it);
        done(std::move(result));
      });
  operations_.emplace(id, operation);
  operation->Start();
  return id;
}

OperationId EpollEventLoop::CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                                             absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartOperation<Connection>(std::move(done), [&](auto when_done) {
    return std::make_shared<CreateConnectionOperation>(context_, resolver_, std::move(factory), std::move(options),
                                                       std::move(when_done));
  });
}

OperationId EpollEventLoop::CreateServer(ProtocolFactory factory, CreateServerOptions options,
                                         absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) {
  return StartOperation<std::shared_ptr<Server>>(std::move(done), [&](auto when_done) {
    return std::make_shared<CreateServerOperation>(context_, resolver_, std::move(factory), std::move(options),
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
