// The calls that make transports.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "server/policy/request_check.h"
#include "server/session/command_table.h"
#include "server/session/commands.h"
#include "server/session/convert.h"
#include "server/session/server_handle.h"
#include "server/session/socket_handle.h"
#include "server/session/stream_handle.h"
#include "server/session/tls_convert.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

using absl::StatusCode;

// The protocol of a connection whose session is gone before it was made.
class RefusingProtocol final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport->Abort(/*reset=*/true); }
};

// Makes the handles of new transports. Holds the session weakly: a server may outlive it by a turn.
ProtocolFactory HandleFactory(std::weak_ptr<Session> weak_session, const StreamHandle::Origin& origin) {
  return [weak_session = std::move(weak_session), origin]() -> std::shared_ptr<BaseProtocol> {
    if (std::shared_ptr<Session> session = weak_session.lock()) {
      return std::make_shared<StreamHandle>(std::move(session), origin);
    }
    return std::make_shared<RefusingProtocol>();
  };
}

// A command that makes one stream transport. `start(factory, done)` asks the loop for it, and `response(reply)` is the
// message to answer with.
template <typename Start, typename Response>
void MakeConnection(const CommandContext& context, bool close_on_eof, GuardedOperation operation, Start start,
                    Response response) {
  absl::StatusOr<std::shared_ptr<void>> place = context.session.TakePlace();
  if (!place.ok()) return context.call->Fail(place.status());
  operation.method = CommandMethod(context.command.command_case());
  absl::StatusOr<std::shared_ptr<OperationGate>> gate =
      context.session.BeginOperation(*context.call, std::move(operation));
  if (!gate.ok()) return context.call->Fail(gate.status());
  const StreamHandle::Origin origin{.request_id = context.call->request_id(),
                                    .close_on_eof = close_on_eof,
                                    .place = *std::move(place),
                                    .gate = *gate,
                                    .settings = context.call->needs()};
  auto done = [session = context.session.shared_from_this(), call = context.call,
               response](absl::StatusOr<Connection> connection) {
    if (!connection.ok()) return call->Fail(connection.status());
    const auto& handle = static_cast<const StreamHandle&>(*connection->protocol);
    if (handle.id() == 0) return call->Fail(NoRoom());
    v1::Reply reply;
    response(reply)->set_transport_id(handle.id());
    ToProto(connection->transport->GetExtraInfo(), *response(reply)->mutable_extra_info());
    call->Answer(std::move(reply));
  };
  CancelWith(context,
             start(HandleFactory(context.session.weak_from_this(), origin), *std::move(gate), std::move(done)));
}

// A command that makes a server; as above.
template <typename Start, typename Response>
void MakeServer(const CommandContext& context, bool close_on_eof, GuardedOperation operation, Start start,
                Response response) {
  absl::StatusOr<std::shared_ptr<void>> place = context.session.TakePlace();
  if (!place.ok()) return context.call->Fail(place.status());
  operation.kind = GuardedOperation::Kind::kServer;
  operation.method = CommandMethod(context.command.command_case());
  absl::StatusOr<std::shared_ptr<OperationGate>> gate =
      context.session.BeginOperation(*context.call, std::move(operation));
  if (!gate.ok()) return context.call->Fail(gate.status());
  // The id is known only with the answer, before which nothing is accepted.
  auto server_id = std::make_shared<uint32_t>(0);
  ProtocolFactory factory = [weak_session = context.session.weak_from_this(), server_id, close_on_eof] {
    return HandleFactory(weak_session, {.server_id = *server_id, .close_on_eof = close_on_eof})();
  };
  auto done = [session = context.session.shared_from_this(), call = context.call, server_id, response,
               place = *std::move(place), gate = *gate,
               settings = context.call->needs()](absl::StatusOr<std::shared_ptr<Server>> server) mutable {
    if (!server.ok()) return call->Fail(server.status());
    const auto handle = std::make_shared<ServerHandle>(*session, *server, std::move(place), std::move(gate), settings);
    if (!session->Adopt(handle)) {
      (*server)->Close();
      return call->Fail(MakeError(StatusCode::kCancelled, "CANCELLED", "the session has ended"));
    }
    *server_id = handle->id();
    v1::Reply reply;
    response(reply)->set_server_id(*server_id);
    for (const SocketAddress& address : (*server)->Sockets()) ToProto(address, *response(reply)->add_sockets());
    call->Answer(std::move(reply));
  };
  CancelWith(context, start(std::move(factory), *std::move(gate), std::move(done)));
}

using Gate = std::shared_ptr<OperationGate>;

// `db.lab:5432`.
std::string Text(const v1::HostPort& remote) { return StrCat(remote.host(), ":", remote.port()); }

Duration DefaultTimeout(const CommandContext& context) { return context.session.limits().default_create_timeout; }

void CreateConnection(const CommandContext& context) {
  const v1::CreateConnectionRequest& request = context.command.create_connection();
  MakeConnection(
      context, request.close_on_eof(),
      {.kind = GuardedOperation::Kind::kConnection,
       .protocol = ActionProtocol::kTcp,
       .requested = Text(request.remote()),
       .host = std::string(NameIn(request.remote().host()))},
      [&](ProtocolFactory factory, Gate gate, auto done) {
        auto options = FromProto(request, DefaultTimeout(context));
        options.tls = TlsOf(request, context.session.id());
        options.gate = std::move(gate);
        options.asker = context.session.caller().principal;
        return context.session.loop().CreateConnection(std::move(factory), std::move(options), std::move(done));
      },
      [](v1::Reply& reply) { return reply.mutable_create_connection(); });
}

void CreateUnixConnection(const CommandContext& context) {
  const v1::CreateUnixConnectionRequest& request = context.command.create_unix_connection();
  MakeConnection(
      context, request.close_on_eof(), {.kind = GuardedOperation::Kind::kConnection, .requested = request.path()},
      [&](ProtocolFactory factory, Gate gate, auto done) {
        auto options = FromProto(request, DefaultTimeout(context));
        options.tls = TlsOf(request, context.session.id());
        options.gate = std::move(gate);
        return context.session.loop().CreateUnixConnection(std::move(factory), std::move(options), std::move(done));
      },
      [](v1::Reply& reply) { return reply.mutable_create_unix_connection(); });
}

void ConnectAcceptedSocket(const CommandContext& context) {
  const v1::ConnectAcceptedSocketRequest& request = context.command.connect_accepted_socket();
  const absl::StatusOr<SocketHandle*> socket = context.session.Find<SocketHandle>(request.socket_id());
  if (!socket.ok()) return context.call->Fail(socket.status());
  if (*socket == nullptr) return context.call->Fail(ErrnoToStatus(EBADF, "sock"));
  MakeConnection(
      context, request.close_on_eof(), {.kind = GuardedOperation::Kind::kConnection},
      [&](ProtocolFactory factory, const Gate& /*gate*/, auto done) {
        // It is taken at once, or when what TLS needs is there.
        auto leave_then_done = [session = context.session.shared_from_this(), id = request.socket_id(),
                                done = std::move(done)](absl::StatusOr<Connection> connection) mutable {
          const absl::StatusOr<SocketHandle*> taken = session->Find<SocketHandle>(id);
          if (taken.ok() && *taken != nullptr) (*taken)->LeaveIfTaken();
          done(std::move(connection));
        };
        EpollEventLoop& loop = context.session.loop();
        const WriteBufferLimits limits = FromProto(request.write_buffer_limits());
        std::optional<TlsOptions> tls = TlsOf(request, context.session.id());
        const OperationId operation =
            request.client_side()
                ? loop.CreateConnection(
                      std::move(factory),
                      {.sock = (*socket)->sock(), .write_buffer_limits = limits, .tls = std::move(tls)},
                      std::move(leave_then_done))
                : loop.ConnectAcceptedSocket(
                      std::move(factory),
                      {.sock = (*socket)->sock(), .write_buffer_limits = limits, .tls = std::move(tls)},
                      std::move(leave_then_done));
        (*socket)->LeaveIfTaken();
        return operation;
      },
      [](v1::Reply& reply) { return reply.mutable_connect_accepted_socket(); });
}

ConnectPipeOptions PipeOptions(const v1::PipeSource& source) {
  ConnectPipeOptions options;
  if (source.has_path()) options.path = source.path();
  // What no int can hold is no descriptor of ours either.
  if (source.has_fd()) options.fd = static_cast<int>(std::min<uint32_t>(source.fd(), INT32_MAX));
  return options;
}

GuardedOperation PipeOperation(const v1::PipeSource& source) {
  return {.kind = GuardedOperation::Kind::kConnection,
          .requested = source.has_path() ? source.path() : StrCat("fd:", source.fd())};
}

void ConnectReadPipe(const CommandContext& context) {
  const v1::PipeSource& source = context.command.connect_read_pipe().source();
  MakeConnection(
      context, /*close_on_eof=*/false, PipeOperation(source),
      [&](ProtocolFactory factory, Gate gate, auto done) {
        ConnectPipeOptions options = PipeOptions(source);
        options.gate = std::move(gate);
        return context.session.loop().ConnectReadPipe(std::move(factory), std::move(options), std::move(done));
      },
      [](v1::Reply& reply) { return reply.mutable_connect_read_pipe(); });
}

void ConnectWritePipe(const CommandContext& context) {
  const v1::ConnectWritePipeRequest& request = context.command.connect_write_pipe();
  ConnectPipeOptions options = PipeOptions(request.source());
  options.write_buffer_limits = FromProto(request.write_buffer_limits());
  MakeConnection(
      context, /*close_on_eof=*/false, PipeOperation(request.source()),
      [&](ProtocolFactory factory, Gate gate, auto done) {
        options.gate = std::move(gate);
        return context.session.loop().ConnectWritePipe(std::move(factory), std::move(options), std::move(done));
      },
      [](v1::Reply& reply) { return reply.mutable_connect_write_pipe(); });
}

void CreateServer(const CommandContext& context) {
  const v1::CreateServerRequest& request = context.command.create_server();
  std::string requested;
  for (const std::string& host : request.hosts()) requested += StrCat(host, ",");
  MakeServer(
      context, request.close_on_eof(),
      {.protocol = ActionProtocol::kTcp, .requested = StrCat(requested, ":", request.port())},
      [&](ProtocolFactory factory, Gate gate, auto done) {
        auto options = FromProto(request, DefaultTimeout(context));
        options.tls = TlsOf(request, context.session.id());
        options.gate = std::move(gate);
        options.asker = context.session.caller().principal;
        return context.session.loop().CreateServer(std::move(factory), std::move(options), std::move(done));
      },
      [](v1::Reply& reply) { return reply.mutable_create_server(); });
}

void CreateUnixServer(const CommandContext& context) {
  const v1::CreateUnixServerRequest& request = context.command.create_unix_server();
  MakeServer(
      context, request.close_on_eof(), {.requested = request.path()},
      [&](ProtocolFactory factory, Gate gate, auto done) {
        auto options = FromProto(request);
        options.tls = TlsOf(request, context.session.id());
        options.gate = std::move(gate);
        return context.session.loop().CreateUnixServer(std::move(factory), std::move(options), std::move(done));
      },
      [](v1::Reply& reply) { return reply.mutable_create_unix_server(); });
}

constexpr CommandRow kLoopRows[] = {
    {v1::Command::kConnectReadPipe, /*may_wait=*/true, ConnectReadPipe},
    {v1::Command::kConnectWritePipe, /*may_wait=*/true, ConnectWritePipe},
    {v1::Command::kCreateConnection, /*may_wait=*/true, CreateConnection},
    {v1::Command::kCreateServer, /*may_wait=*/true, CreateServer},
    {v1::Command::kCreateUnixConnection, /*may_wait=*/true, CreateUnixConnection},
    {v1::Command::kConnectAcceptedSocket, /*may_wait=*/true, ConnectAcceptedSocket},
    {v1::Command::kCreateUnixServer, /*may_wait=*/true, CreateUnixServer},
};

}  // namespace

std::span<const CommandRow> LoopCommands() { return kLoopRows; }

}  // namespace transportd
