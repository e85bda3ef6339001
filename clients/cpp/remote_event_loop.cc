#include "clients/cpp/remote_event_loop.h"

#include <cerrno>
#include <optional>
#include <type_traits>
#include <utility>

#include "clients/cpp/connect_operation.h"
#include "clients/cpp/convert.h"
#include "clients/cpp/datagram_operation.h"
#include "clients/cpp/listen_operation.h"
#include "clients/cpp/remote_server.h"
#include "clients/cpp/remote_socket.h"
#include "clients/cpp/remote_transport.h"
#include "clients/cpp/subprocess_operation.h"
#include "clients/cpp/tls_convert.h"
#include "clients/cpp/value_operation.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/logging.h"

namespace transportd {
namespace {

absl::Status NoBoundSockets() {
  return InvalidArgument("INVALID_SOCKET", "sock", "the service has no bound sockets to hand over");
}

absl::Status Cancelled() { return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the call was cancelled"); }

absl::StatusOr<v1::Command> OrError(absl::Status status, v1::Command command) {
  if (!status.ok()) return status;
  return command;
}

// The watermarks that the transports of a call begin with.
template <typename CallOptions>
absl::StatusOr<WriteBufferMarks> MarksOf(const CallOptions& options) {
  bool has_tls = false;
  if constexpr (requires { options.tls; }) has_tls = options.tls.has_value();
  return ResolveWriteBufferLimits(options.write_buffer_limits, has_tls ? kTlsWriteBufferMarks : WriteBufferMarks());
}

// What the service does is not asked about here: a gate would be a promise that is not kept.
template <typename CallOptions>
absl::Status RefuseGate(const CallOptions& options) {
  if constexpr (requires { options.gate; }) {
    if (options.gate != nullptr) {
      return InvalidArgument("INVALID_GATE", "gate", "the service's sockets are under its own policy");
    }
  }
  return absl::OkStatus();
}

}  // namespace

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

// --- The calls that make transports

template <typename CallOptions, typename Fill>
OperationId RemoteEventLoop::StartConnect(ProtocolFactory factory, const CallOptions& options, Fill fill,
                                          absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  const absl::StatusOr<WriteBufferMarks> marks = MarksOf(options);
  v1::Command command;
  absl::Status status = marks.status();
  if (status.ok()) status = RefuseGate(options);
  if (status.ok()) status = fill(command);
  return StartOperation(std::make_unique<ConnectOperation>(*session_, std::move(factory),
                                                           marks.value_or(WriteBufferMarks()), std::move(done)),
                        OrError(std::move(status), std::move(command)));
}

template <typename CallOptions, typename Fill>
OperationId RemoteEventLoop::StartListen(ProtocolFactory factory, const CallOptions& options, Fill fill,
                                         absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) {
  const absl::StatusOr<WriteBufferMarks> marks = MarksOf(options);
  v1::Command command;
  absl::Status status = marks.status();
  if (status.ok()) status = RefuseGate(options);
  if (status.ok()) status = fill(command);
  return StartOperation(
      std::make_unique<ListenOperation>(*session_, std::move(factory), marks.value_or(WriteBufferMarks()),
                                        options.start_serving, std::move(done)),
      OrError(std::move(status), std::move(command)));
}

OperationId RemoteEventLoop::CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                                              absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  if (options.sock != nullptr) {
    const bool either = options.remote.host || options.remote.port || options.local;
    return StartSock(std::move(factory), options, either, std::move(done));
  }
  return StartConnect(
      std::move(factory), options,
      [&](v1::Command& command) { return remote::ToProto(options, *command.mutable_create_connection()); },
      std::move(done));
}

OperationId RemoteEventLoop::CreateServer(ProtocolFactory factory, CreateServerOptions options,
                                          absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) {
  return StartListen(
      std::move(factory), options,
      [&](v1::Command& command) {
        if (options.sock != nullptr) return NoBoundSockets();
        return remote::ToProto(options, *command.mutable_create_server());
      },
      std::move(done));
}

OperationId RemoteEventLoop::CreateUnixConnection(ProtocolFactory factory, CreateUnixConnectionOptions options,
                                                  absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  if (options.sock != nullptr) {
    return StartSock(std::move(factory), options, options.path.has_value(), std::move(done));
  }
  return StartConnect(
      std::move(factory), options,
      [&](v1::Command& command) { return remote::ToProto(options, *command.mutable_create_unix_connection()); },
      std::move(done));
}

OperationId RemoteEventLoop::CreateUnixServer(ProtocolFactory factory, CreateUnixServerOptions options,
                                              absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) {
  return StartListen(
      std::move(factory), options,
      [&](v1::Command& command) {
        if (options.sock != nullptr) return NoBoundSockets();
        return remote::ToProto(options, *command.mutable_create_unix_server());
      },
      std::move(done));
}

OperationId RemoteEventLoop::ConnectAcceptedSocket(ProtocolFactory factory, ConnectAcceptedSocketOptions options,
                                                   absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartSock(std::move(factory), options, /*either=*/false, std::move(done));
}

// The transport of an existing socket, in whichever call it was given. `either`: a host or a path was given besides.
template <typename CallOptions>
OperationId RemoteEventLoop::StartSock(ProtocolFactory factory, const CallOptions& options, bool either,
                                       absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartConnect(
      std::move(factory), options,
      [&](v1::Command& command) -> absl::Status {
        if (either) {
          return InvalidArgument("INVALID_SOCKET", "sock", "host/port and sock can not be specified at the same time");
        }
        auto* const socket = dynamic_cast<RemoteSocket*>(options.sock.get());
        if (socket == nullptr || !socket->IsOf(*session_)) {
          return InvalidArgument("INVALID_SOCKET", "sock", "a socket of this loop is needed");
        }
        if (socket->Kind().type != SocketType::kStream) {
          return InvalidArgument("INVALID_SOCKET", "sock", "a stream socket was expected");
        }
        const std::optional<uint32_t> id = socket->Take();
        if (!id.has_value()) return ErrnoToStatus(EBADF, "sock");
        v1::ConnectAcceptedSocketRequest& request = *command.mutable_connect_accepted_socket();
        request.set_socket_id(*id);
        request.set_client_side(!std::is_same_v<CallOptions, ConnectAcceptedSocketOptions>);
        remote::SetQuietSocketLimits(request);
        return remote::SetTls(options.tls, request);
      },
      std::move(done));
}

OperationId RemoteEventLoop::Socketpair(SocketpairOptions options,
                                        absl::AnyInvocable<void(absl::StatusOr<SocketPair>)> done) {
  v1::Command command;
  remote::ToProto(options, *command.mutable_socketpair());
  auto convert = [session = std::weak_ptr<RemoteSession>(session_)](const v1::Reply& reply) {
    const v1::SocketpairResponse& pair = reply.socketpair();
    const SocketKind kind = remote::FromProto(pair.kind());
    return SocketPair{.first = std::make_shared<RemoteSocket>(session, pair.first_socket_id(), kind),
                      .second = std::make_shared<RemoteSocket>(session, pair.second_socket_id(), kind)};
  };
  return StartOperation(std::make_unique<ValueOperation<SocketPair>>(std::move(convert), std::move(done)),
                        std::move(command));
}

OperationId RemoteEventLoop::Getaddrinfo(GetaddrinfoOptions options,
                                         absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) {
  v1::Command command;
  remote::ToProto(options, *command.mutable_getaddrinfo());
  auto convert = [](const v1::Reply& reply) {
    std::vector<AddressInfo> infos;
    for (const v1::AddressInfo& info : reply.getaddrinfo().infos()) infos.push_back(remote::FromProto(info));
    return infos;
  };
  return StartOperation(std::make_unique<ValueOperation<std::vector<AddressInfo>>>(std::move(convert), std::move(done)),
                        std::move(command));
}

OperationId RemoteEventLoop::Getnameinfo(SocketAddress address, int flags,
                                         absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) {
  v1::Command command;
  absl::Status status = remote::ToProto(address, *command.mutable_getnameinfo()->mutable_address());
  command.mutable_getnameinfo()->set_flags(flags);
  auto convert = [](const v1::Reply& reply) {
    return NameInfo{.host = reply.getnameinfo().host(), .service = reply.getnameinfo().service()};
  };
  return StartOperation(std::make_unique<ValueOperation<NameInfo>>(std::move(convert), std::move(done)),
                        OrError(std::move(status), std::move(command)));
}

OperationId RemoteEventLoop::Sendfile(std::shared_ptr<Transport> transport, SendfileOptions options,
                                      absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) {
  const auto remote_transport = std::dynamic_pointer_cast<RemoteTransport>(std::move(transport));
  auto convert = [](const v1::Reply& reply) { return reply.sendfile().sent_bytes(); };
  if (remote_transport == nullptr) {
    return StartOperation(
        std::make_unique<ValueOperation<uint64_t>>(convert, std::move(done)),
        MakeError(absl::StatusCode::kUnimplemented, "WRONG_KIND", "sendfile is not supported for this transport"));
  }
  if (absl::Status status = RefuseGate(options); !status.ok()) {
    return StartOperation(std::make_unique<ValueOperation<uint64_t>>(convert, std::move(done)), std::move(status));
  }
  v1::Command command;
  remote::ToProto(options, *command.mutable_sendfile());
  command.mutable_sendfile()->set_transport_id(remote_transport->id());
  // Whose time it is that ends with `done`: a second sendfile, which is refused, ends nobody's.
  const auto began = std::make_shared<bool>(false);
  auto finish = [remote_transport, began, done = std::move(done)](absl::StatusOr<uint64_t> sent_bytes) mutable {
    if (*began) {
      remote_transport->EndSendfile(sent_bytes.ok() ? *sent_bytes : ToTransportError(sent_bytes.status()).sent_bytes);
    }
    done(std::move(sent_bytes));
  };
  const std::shared_ptr<Entry> entry =
      AddOperation(std::make_unique<ValueOperation<uint64_t>>(convert, std::move(finish)));
  const absl::Status status =
      remote_transport->BeginSendfile([this, entry, command = std::move(command)](const absl::Status& issued) {
        if (entry->is_cancelled) return;
        if (!issued.ok()) return FailSoon(entry, issued);
        SendCommand(entry, command);
      });
  *began = status.ok();
  if (!status.ok()) FailSoon(entry, status);
  return entry->id;
}

OperationId RemoteEventLoop::StartTls(std::shared_ptr<Transport> transport, StartTlsOptions options,
                                      absl::AnyInvocable<void(absl::Status)> done) {
  using Info = std::shared_ptr<const TlsInfo>;
  const auto remote_transport = std::dynamic_pointer_cast<RemoteTransport>(std::move(transport));
  CHECK(remote_transport != nullptr);
  // A second start_tls, which is refused, ends nobody's.
  const auto began = std::make_shared<bool>(false);
  auto finish = [remote_transport, began, done = std::move(done)](const absl::StatusOr<Info>& tls) mutable {
    if (*began) {
      remote_transport->EndStartTls(tls);
      if (absl::IsCancelled(tls.status())) remote_transport->Abort(/*reset=*/false);
    }
    done(tls.status());
  };
  auto convert = [](const v1::Reply& reply) { return remote::FromProto(reply.start_tls().tls()); };
  const std::shared_ptr<Entry> entry =
      AddOperation(std::make_unique<ValueOperation<Info>>(std::move(convert), std::move(finish)));
  v1::Command command;
  command.mutable_start_tls()->set_transport_id(remote_transport->id());
  command.mutable_start_tls()->set_server_side(options.server_side);
  absl::Status status = remote::ToProto(options.tls, *command.mutable_start_tls()->mutable_tls());
  if (status.ok()) {
    status = remote_transport->BeginStartTls(
        [this, entry, command = std::move(command),
         incoming = std::move(options.incoming)](absl::StatusOr<std::string> more) mutable {
          if (entry->is_cancelled) return;
          if (!more.ok()) return FailSoon(entry, more.status());
          command.mutable_start_tls()->set_incoming(incoming + *more);
          SendCommand(entry, std::move(command));
        });
    *began = status.ok();
  }
  if (!status.ok()) FailSoon(entry, status);
  return entry->id;
}

OperationId RemoteEventLoop::ConnectReadPipe(ProtocolFactory factory, ConnectPipeOptions options,
                                             absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartConnect(
      std::move(factory), options,
      [&](v1::Command& command) {
        return remote::ToProto(options, *command.mutable_connect_read_pipe()->mutable_source());
      },
      std::move(done));
}

OperationId RemoteEventLoop::ConnectWritePipe(ProtocolFactory factory, ConnectPipeOptions options,
                                              absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) {
  return StartConnect(
      std::move(factory), options,
      [&](v1::Command& command) { return remote::ToProto(options, *command.mutable_connect_write_pipe()); },
      std::move(done));
}

OperationId RemoteEventLoop::SubprocessExec(SubprocessProtocolFactory factory, std::string program,
                                            std::vector<std::string> args, SubprocessOptions options,
                                            absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) {
  v1::Command command;
  v1::SubprocessExecRequest& request = *command.mutable_subprocess_exec();
  request.set_program(std::move(program));
  for (std::string& argument : args) request.add_args(std::move(argument));
  absl::Status status = remote::ToProto(options, *request.mutable_options());
  return StartSubprocess(std::move(factory), options.write_buffer_limits,
                         OrError(std::move(status), std::move(command)), std::move(done));
}

OperationId RemoteEventLoop::SubprocessShell(SubprocessProtocolFactory factory, std::string cmd,
                                             SubprocessOptions options,
                                             absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) {
  v1::Command command;
  v1::SubprocessShellRequest& request = *command.mutable_subprocess_shell();
  request.set_cmd(std::move(cmd));
  absl::Status status = remote::ToProto(options, *request.mutable_options());
  return StartSubprocess(std::move(factory), options.write_buffer_limits,
                         OrError(std::move(status), std::move(command)), std::move(done));
}

OperationId RemoteEventLoop::StartSubprocess(SubprocessProtocolFactory factory, const WriteBufferLimits& limits,
                                             absl::StatusOr<v1::Command> command,
                                             absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) {
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(limits);
  if (!marks.ok()) command = marks.status();
  return StartOperation(std::make_unique<SubprocessOperation>(*session_, std::move(factory),
                                                              marks.value_or(WriteBufferMarks()), std::move(done)),
                        std::move(command));
}

// --- Calls under way

std::shared_ptr<RemoteEventLoop::Entry> RemoteEventLoop::AddOperation(std::unique_ptr<RemoteOperation> operation) {
  reactor_->AssertInLoopThread();
  const auto entry = std::make_shared<Entry>();
  entry->id = ++last_operation_id_;
  entry->operation = std::move(operation);
  operations_.emplace(entry->id, entry);
  return entry;
}

void RemoteEventLoop::SendCommand(const std::shared_ptr<Entry>& entry, v1::Command command) {
  entry->request_id = session_->Request(
      std::move(command), [this, entry](const absl::StatusOr<v1::Reply>& reply) { OnReply(entry, reply); });
  unanswered_.emplace(entry->request_id, entry);
}

OperationId RemoteEventLoop::StartOperation(std::unique_ptr<RemoteOperation> operation,
                                            absl::StatusOr<v1::Command> command) {
  const std::shared_ptr<Entry> entry = AddOperation(std::move(operation));
  if (command.ok()) {
    SendCommand(entry, *std::move(command));
  } else {
    FailSoon(entry, command.status());
  }
  return entry->id;
}

void RemoteEventLoop::OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) {
  if (made.server_id() != 0) {
    const std::shared_ptr<RemoteServer> server = session_->FindServer(made.server_id());
    if (server == nullptr) return session_->RefuseTransport(transport_id, /*reset=*/true);
    return server->Accept(transport_id, remote::FromProto(made.extra_info()));
  }
  const auto found = unanswered_.find(made.request_id());
  const std::shared_ptr<Entry> entry = found == unanswered_.end() ? nullptr : found->second;
  if (entry == nullptr || IsUndone(*entry) || !entry->operation->OnConnectionMade(transport_id, made)) {
    session_->RefuseTransport(transport_id, /*reset=*/false);
  }
}

void RemoteEventLoop::OnReply(const std::shared_ptr<Entry>& entry, const absl::StatusOr<v1::Reply>& reply) {
  unanswered_.erase(entry->request_id);
  entry->is_answered = true;
  if (!reply.ok()) return Fail(*entry, reply.status());
  if (IsUndone(*entry)) return entry->operation->Undo(*reply);
  if (const absl::Status status = entry->operation->Check(*reply); !status.ok()) {
    session_->FailContract(std::string(status.message()));
    return Fail(*entry, session_->lost_status());
  }
  if (entry->is_cancelled) return FailSoon(entry, Cancelled());
  if (!entry->operation->FinishesLater()) return Finish(*entry, *reply);
  reactor_->CallSoon([this, entry, reply = *reply] {
    if (!entry->is_cancelled) Finish(*entry, reply);
  });
}

void RemoteEventLoop::Finish(Entry& entry, const v1::Reply& reply) {
  if (std::exchange(entry.is_done, true)) return;
  operations_.erase(entry.id);
  entry.operation->Finish(reply);
}

void RemoteEventLoop::Fail(Entry& entry, const absl::Status& status) {
  if (std::exchange(entry.is_done, true)) return;
  operations_.erase(entry.id);
  entry.operation->Fail(status);
}

void RemoteEventLoop::FailSoon(std::shared_ptr<Entry> entry, absl::Status status) {
  reactor_->CallSoon([this, entry = std::move(entry), status = std::move(status)] { Fail(*entry, status); });
}

OperationId RemoteEventLoop::CreateDatagramEndpoint(DatagramProtocolFactory factory,
                                                    CreateDatagramEndpointOptions options,
                                                    absl::AnyInvocable<void(absl::StatusOr<DatagramEndpoint>)> done) {
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(options.write_buffer_limits);
  v1::Command command;
  absl::Status status = marks.status();
  if (status.ok()) status = RefuseGate(options);
  if (status.ok()) status = remote::ToProto(options, *command.mutable_create_datagram_endpoint());
  return StartOperation(std::make_unique<DatagramOperation>(*session_, std::move(factory),
                                                            marks.value_or(WriteBufferMarks()), std::move(done)),
                        OrError(std::move(status), std::move(command)));
}

void RemoteEventLoop::CancelOperation(OperationId operation) {
  reactor_->AssertInLoopThread();
  const auto it = operations_.find(operation);
  if (it == operations_.end() || std::exchange(it->second->is_cancelled, true)) return;
  if (it->second->request_id != 0) {
    v1::Command command;
    command.mutable_cancel()->set_request_id(it->second->request_id);
    session_->Send(command);
  }
  const bool waits = it->second->operation->CancelWaits() && it->second->request_id != 0 && !it->second->is_answered;
  if (!waits) FailSoon(it->second, Cancelled());
}

void RemoteEventLoop::SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) {
  exception_handler_ =
      handler ? std::make_shared<absl::AnyInvocable<void(const ExceptionContext&)>>(std::move(handler)) : nullptr;
}

void RemoteEventLoop::OnDraining(Duration time_left) {
  // Moved out: it may set another one.
  if (auto handler = std::exchange(draining_handler_, nullptr); handler != nullptr) handler(time_left);
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
