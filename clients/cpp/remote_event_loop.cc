#include "clients/cpp/remote_event_loop.h"

#include <utility>
#include <vector>

#include "clients/cpp/convert.h"
#include "clients/cpp/remote_server.h"
#include "clients/cpp/remote_transport.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/logging.h"

namespace transportd {

absl::StatusOr<std::unique_ptr<RemoteEventLoop>> RemoteEventLoop::Create(std::unique_ptr<FrameChannel> channel,
                                                                         const Options& options) {
  absl::StatusOr<std::unique_ptr<Reactor>> reactor =
      Reactor::Create(options.clock != nullptr ? *options.clock : SystemClock());
  if (!reactor.ok()) return reactor.status();
  // Not make_unique: the constructor is private.
  std::unique_ptr<RemoteEventLoop> loop(new RemoteEventLoop(*std::move(reactor), std::move(channel)));
  loop->session_->Start(options.client_name);
  return loop;
}

RemoteEventLoop::RemoteEventLoop(std::unique_ptr<Reactor> reactor, std::unique_ptr<FrameChannel> channel)
    : reactor_(std::move(reactor)),
      session_(std::make_shared<RemoteSession>(*reactor_, std::move(channel),
                                               static_cast<RemoteSession::Observer&>(*this))) {}

RemoteEventLoop::~RemoteEventLoop() { session_->Shutdown(); }

absl::Status RemoteEventLoop::WaitOpened(Duration timeout) {
  bool timed_out = false;
  const TimerId timer = reactor_->CallLater(timeout, [&timed_out] { timed_out = true; });
  while (!session_->is_open() && session_->lost_status().ok() && !timed_out) reactor_->RunOnce(Duration(-1));
  reactor_->CancelTimer(timer);
  if (session_->is_open()) return absl::OkStatus();
  if (!session_->lost_status().ok()) return session_->stream_status();
  return MakeError(absl::StatusCode::kDeadlineExceeded, "CONNECT_TIMEOUT", "the service did not answer in time");
}

void RemoteEventLoop::CallSoon(absl::AnyInvocable<void()> callback) { reactor_->CallSoon(std::move(callback)); }
void RemoteEventLoop::CallSoonThreadsafe(absl::AnyInvocable<void()> callback) {
  reactor_->CallSoonThreadsafe(std::move(callback));
}
TimerId RemoteEventLoop::CallLater(Duration delay, absl::AnyInvocable<void()> callback) {
  return reactor_->CallLater(delay, std::move(callback));
}
TimerId RemoteEventLoop::CallAt(TimePoint when, absl::AnyInvocable<void()> callback) {
  return reactor_->CallAt(when, std::move(callback));
}
bool RemoteEventLoop::CancelTimer(TimerId timer) { return reactor_->CancelTimer(timer); }
TimePoint RemoteEventLoop::Time() const { return reactor_->Time(); }
void RemoteEventLoop::RunForever() { reactor_->RunForever(); }
void RemoteEventLoop::Stop() { reactor_->Stop(); }

RemoteEventLoop::Counts RemoteEventLoop::GetCounts() const {
  return {
      .operations = operations_.size(), .transports = session_->transport_count(), .servers = session_->server_count()};
}

std::shared_ptr<RemoteEventLoop::Operation> RemoteEventLoop::AddOperation() {
  reactor_->AssertInLoopThread();
  auto operation = std::make_shared<Operation>();
  operation->id = ++last_operation_id_;
  operations_.emplace(operation->id, operation);
  return operation;
}

OperationId RemoteEventLoop::CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                                              absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  const std::shared_ptr<Operation> operation = AddOperation();
  operation->factory = std::move(factory);
  operation->connection_done = std::move(done);
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(options.write_buffer_limits);
  v1::Command command;
  absl::Status status = marks.status();
  if (status.ok()) status = remote::ToProto(options, *command.mutable_create_connection());
  if (!status.ok()) {
    FailSoon(operation, std::move(status));
    return operation->id;
  }
  operation->marks = *marks;
  operation->request_id = session_->Request(std::move(command), [this, operation](absl::StatusOr<v1::Reply> reply) {
    OnConnectionReply(operation, std::move(reply));
  });
  connecting_.emplace(operation->request_id, operation);
  return operation->id;
}

void RemoteEventLoop::OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) {
  if (made.server_id() != 0) {
    const std::shared_ptr<RemoteServer> server = session_->FindServer(made.server_id());
    if (server == nullptr) return session_->RefuseTransport(transport_id, /*reset=*/true);
    return server->Accept(transport_id, remote::FromProto(made.extra_info()));
  }
  const auto it = connecting_.find(made.request_id());
  if (it == connecting_.end() || it->second->is_cancelled || it->second->transport != nullptr) {
    return session_->RefuseTransport(transport_id, /*reset=*/false);
  }
  const std::shared_ptr<Operation> operation = it->second;
  std::shared_ptr<BaseProtocol> protocol = operation->factory();
  CHECK(protocol != nullptr);
  RemoteTransport::Options options;
  options.extra_info = remote::FromProto(made.extra_info());
  options.write_buffer_marks = operation->marks;
  options.held = true;
  operation->transport =
      std::make_shared<RemoteTransport>(*session_, transport_id, std::move(protocol), std::move(options));
  const std::shared_ptr<RemoteTransport> transport = operation->transport;
  session_->AddTransport(transport_id, transport);
  transport->Start();
}

void RemoteEventLoop::OnConnectionReply(const std::shared_ptr<Operation>& operation, absl::StatusOr<v1::Reply> reply) {
  connecting_.erase(operation->request_id);
  if (!reply.ok()) return Fail(*operation, reply.status());
  if (operation->is_cancelled) return;  // The transport was refused, or is aborted.
  if (operation->transport == nullptr) {
    session_->FailContract("a connection without connection_made");
    return Fail(*operation, session_->lost_status());
  }
  // In a turn of its own, as asyncio's waiter.
  reactor_->CallSoon([this, operation, protocol = operation->transport->GetProtocol()] {
    if (operation->is_done || operation->is_cancelled) return;
    operation->is_done = true;
    operations_.erase(operation->id);
    const std::shared_ptr<RemoteTransport> transport = std::move(operation->transport);
    operation->connection_done(Connection{transport, protocol});
    transport->Release();
  });
}

OperationId RemoteEventLoop::CreateServer(ProtocolFactory factory, CreateServerOptions options,
                                          absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) {
  const std::shared_ptr<Operation> operation = AddOperation();
  operation->factory = std::move(factory);
  operation->server_done = std::move(done);
  operation->start_serving = options.start_serving;
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(options.write_buffer_limits);
  v1::Command command;
  absl::Status status = marks.status();
  if (status.ok()) status = remote::ToProto(options, *command.mutable_create_server());
  if (!status.ok()) {
    FailSoon(operation, std::move(status));
    return operation->id;
  }
  operation->marks = *marks;
  operation->request_id = session_->Request(
      std::move(command),
      [this, operation](const absl::StatusOr<v1::Reply>& reply) { OnServerReply(*operation, reply); });
  return operation->id;
}

void RemoteEventLoop::OnServerReply(Operation& operation, const absl::StatusOr<v1::Reply>& reply) {
  if (!reply.ok()) return Fail(operation, reply.status());
  const v1::CreateServerResponse& response = reply->create_server();
  if (operation.is_cancelled) {
    v1::Command command;
    command.mutable_server_close()->set_server_id(response.server_id());
    session_->Send(command);
    return;
  }
  std::vector<SocketAddress> sockets;
  for (const v1::SocketAddress& address : response.sockets()) sockets.push_back(remote::FromProto(address));
  auto server = std::make_shared<RemoteServer>(*session_, response.server_id(), std::move(operation.factory),
                                               operation.marks, std::move(sockets), operation.start_serving);
  session_->AddServer(response.server_id(), server);
  operation.is_done = true;
  operations_.erase(operation.id);
  // At once: the connections that it accepted follow in the same frame.
  operation.server_done(std::shared_ptr<Server>(std::move(server)));
}

void RemoteEventLoop::FailSoon(std::shared_ptr<Operation> operation, absl::Status status) {
  reactor_->CallSoon(
      [this, operation = std::move(operation), status = std::move(status)] { Fail(*operation, status); });
}

void RemoteEventLoop::Fail(Operation& operation, const absl::Status& status) {
  if (operation.is_done) return;
  operation.is_done = true;
  operations_.erase(operation.id);
  const std::shared_ptr<RemoteTransport> transport = std::move(operation.transport);
  if (transport != nullptr) transport->Abort(false);
  if (operation.connection_done) {
    operation.connection_done(status);
  } else {
    operation.server_done(status);
  }
  if (transport != nullptr) transport->Release();
}

void RemoteEventLoop::CancelOperation(OperationId operation_id) {
  reactor_->AssertInLoopThread();
  const auto it = operations_.find(operation_id);
  if (it == operations_.end() || std::exchange(it->second->is_cancelled, true)) return;
  if (it->second->request_id != 0) {
    v1::Command command;
    command.mutable_cancel()->set_request_id(it->second->request_id);
    session_->Send(command);
  }
  FailSoon(it->second, MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the call was cancelled"));
}

void RemoteEventLoop::SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) {
  exception_handler_ =
      handler ? std::make_shared<absl::AnyInvocable<void(const ExceptionContext&)>>(std::move(handler)) : nullptr;
}

void RemoteEventLoop::ReportException(const ExceptionContext& context) {
  if (const auto handler = exception_handler_; handler != nullptr) return (*handler)(context);
  if (context.status.ok()) {
    LogError(context.message);
  } else {
    LogError(context.message, ": ", std::string(context.status.message()));
  }
}

}  // namespace transportd
