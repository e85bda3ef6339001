// The commands of a session: what each variant of v1::Command does.
#include <utility>

#include "server/session/command_table.h"
#include "server/session/convert.h"
#include "server/session/session.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

using absl::StatusCode;

absl::Status UnknownTransport(uint32_t id) {
  return MakeError(StatusCode::kNotFound, "UNKNOWN_TRANSPORT",
                   StrCat("this session never had a transport or server ", id));
}

absl::Status WrongKind(uint32_t id, std::string_view what) {
  return MakeError(StatusCode::kUnimplemented, "WRONG_KIND", StrCat(id, " is ", what));
}

absl::Status RequestIdInUse(uint32_t request_id) {
  return MakeError(StatusCode::kAlreadyExists, "REQUEST_ID_IN_USE",
                   StrCat("request_id ", request_id, " is that of an unanswered command"));
}

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

// Whether the command may stay unanswered for long. All others are carried out at once, and must be even when no more
// may wait: cancel, close and abort are the way down from there.
bool MayWait(v1::Command::CommandCase variant) {
  switch (variant) {
    case v1::Command::kCreateConnection:
    case v1::Command::kCreateServer:
    case v1::Command::kWriteAndDrain:
    case v1::Command::kWritelines:
    case v1::Command::kWaitClosed:
      return true;
    default:
      return false;
  }
}

}  // namespace

// --- Calls -----------------------------------------------------------------------------------------------------------

Session::CallPtr Session::MakeCall(uint32_t request_id, absl::AnyInvocable<void(v1::Reply)> answer) {
  const bool from_stream = answer == nullptr;
  return std::make_shared<Call>(
      ++last_call_number_, request_id,
      [session = shared_from_this(), answer = std::move(answer), from_stream](Call& call, v1::Reply reply) mutable {
        // Erased last: the table's may be the only hold.
        if (from_stream) {
          if (call.request_id() != 0) {
            const auto request = session->stream_requests_.find(call.request_id());
            if (request != session->stream_requests_.end() && request->second == call.number()) {
              session->stream_requests_.erase(request);
            }
            v1::Callback callback;
            callback.mutable_reply()->Swap(&reply);
            session->Emit(callback);
          } else if (reply.has_error()) {
            ++session->ignored_command_count_;
          }
        } else {
          answer(std::move(reply));
        }
        session->ScheduleFlush();
        if (session->calls_.erase(call.number()) != 0 && !from_stream) session->RestartLease();
      });
}

uint64_t Session::Execute(const v1::Command& command, absl::AnyInvocable<void(v1::Reply)> answer) {
  const CallPtr call = MakeCall(command.request_id(), std::move(answer));
  Run(command, call, /*from_stream=*/false);
  RestartLease();
  return call->number();
}

void Session::Cancel(uint64_t call_number) {
  const auto found = calls_.find(call_number);
  if (found == calls_.end()) return;
  const CallPtr call = found->second;
  call->Cancel();
}

void Session::Run(const v1::Command& command, const CallPtr& call, bool from_stream) {
  const Access access{.method = CommandMethod(command.command_case()), .request = CommandRequest(command)};
  if (absl::Status status = options_.authorizer->Authorize(options_.caller, access); !status.ok()) {
    call->Fail(status);
    return;
  }
  if (state_ != State::kOpen) {
    call->Fail(MakeError(StatusCode::kNotFound, "UNKNOWN_SESSION", "the session has ended"));
    return;
  }
  if (from_stream && call->request_id() != 0 && stream_requests_.contains(call->request_id())) {
    call->Fail(RequestIdInUse(call->request_id()));
    return;
  }
  if (from_stream) {
    if (const std::string session_id = CommandSessionId(command); !session_id.empty() && session_id != options_.id) {
      call->Fail(
          InvalidArgument("WRONG_SESSION", "session_id", "on the Session stream it must be unset or the stream's own"));
      return;
    }
  }
  if (MayWait(command.command_case()) && calls_.size() >= options_.limits.max_request_count) {
    call->Fail(MakeError(StatusCode::kResourceExhausted, "TOO_MANY_REQUESTS",
                         StrCat(calls_.size(), " commands are unanswered, the most that this session may have")));
    return;
  }
  if (!from_stream && MayWait(command.command_case()) && OutboxBytes() > options_.limits.session_receive_window_bytes) {
    call->Fail(MakeError(StatusCode::kResourceExhausted, "CALLBACKS_UNREAD",
                         StrCat(OutboxBytes(), " bytes of callbacks wait to be read: read Callbacks first")));
    return;
  }
  Dispatch(command, call, from_stream);
  if (call->answered()) return;
  calls_.emplace(call->number(), call);
  if (from_stream && call->request_id() != 0) stream_requests_.emplace(call->request_id(), call->number());
}

void Session::Dispatch(const v1::Command& command, const CallPtr& call, bool from_stream) {
  v1::Reply reply;
  switch (command.command_case()) {
    case v1::Command::kCreateConnection:
      return RunCreateConnection(command.create_connection(), call);
    case v1::Command::kCreateServer:
      return RunCreateServer(command.create_server(), call);
    case v1::Command::kCancel:
      return RunCancel(command.cancel(), call, from_stream);

    case v1::Command::kWriteAndDrain:
      reply.mutable_write_and_drain();
      return RunDrainingWrite(command.write_and_drain().transport_id(), {command.write_and_drain().data()},
                              std::move(reply), call, from_stream);
    case v1::Command::kWritelines: {
      reply.mutable_writelines();
      const auto& lines = command.writelines().lines();
      return RunDrainingWrite(command.writelines().transport_id(), {lines.begin(), lines.end()}, std::move(reply), call,
                              from_stream);
    }
    case v1::Command::kWriteEof:
      reply.mutable_write_eof();
      return OnStream(command.write_eof().transport_id(), call, std::move(reply), [](StreamHandle& stream, v1::Reply&) {
        stream.transport().WriteEof();
        return absl::OkStatus();
      });
    case v1::Command::kClose:
      reply.mutable_close();
      return OnStream(command.close().transport_id(), call, std::move(reply), [](StreamHandle& stream, v1::Reply&) {
        stream.transport().Close();
        return absl::OkStatus();
      });
    case v1::Command::kAbort:
      reply.mutable_abort();
      return OnStream(command.abort().transport_id(), call, std::move(reply), [&](StreamHandle& stream, v1::Reply&) {
        stream.transport().Abort(command.abort().reset());
        return absl::OkStatus();
      });
    case v1::Command::kPauseReading:
      reply.mutable_pause_reading();
      return OnStream(command.pause_reading().transport_id(), call, std::move(reply),
                      [](StreamHandle& stream, v1::Reply&) {
                        stream.SetPausedByClient(true);
                        return absl::OkStatus();
                      });
    case v1::Command::kResumeReading:
      reply.mutable_resume_reading();
      return OnStream(command.resume_reading().transport_id(), call, std::move(reply),
                      [](StreamHandle& stream, v1::Reply&) {
                        stream.SetPausedByClient(false);
                        return absl::OkStatus();
                      });
    case v1::Command::kSetWriteBufferLimits:
      reply.mutable_set_write_buffer_limits();
      return OnStream(command.set_write_buffer_limits().transport_id(), call, std::move(reply),
                      [&](StreamHandle& stream, v1::Reply& out) {
                        const absl::Status status = stream.transport().SetWriteBufferLimits(
                            FromProto(command.set_write_buffer_limits().limits()));
                        ToProto(stream.transport().GetWriteBufferLimits(),
                                *out.mutable_set_write_buffer_limits()->mutable_limits());
                        return status;
                      });
    case v1::Command::kGetState:
      return RunGetState(command.get_state(), call);
    case v1::Command::kGetsockopt:
      return RunGetsockopt(command.getsockopt(), call);
    case v1::Command::kSetsockopt:
      return RunSetsockopt(command.setsockopt(), call);

    case v1::Command::kStartServing:
      return RunStartServing(command.start_serving(), call);
    case v1::Command::kServerClose:
      return RunServerClose(command.server_close(), call);
    case v1::Command::kWaitClosed:
      return RunWaitClosed(command.wait_closed(), call);
    case v1::Command::kCloseClients:
      reply.mutable_close_clients();
      return OnServer(
          command.close_clients().server_id(), call, std::move(reply), [](ServerHandle& server, v1::Reply& out) {
            server.server->CloseClients(
                [&out](size_t count) { out.mutable_close_clients()->set_closed_count(static_cast<uint32_t>(count)); });
            return absl::OkStatus();
          });
    case v1::Command::kAbortClients:
      reply.mutable_abort_clients();
      return OnServer(
          command.abort_clients().server_id(), call, std::move(reply), [](ServerHandle& server, v1::Reply& out) {
            server.server->AbortClients(
                [&out](size_t count) { out.mutable_abort_clients()->set_aborted_count(static_cast<uint32_t>(count)); });
            return absl::OkStatus();
          });

    case v1::Command::kWrite:
    case v1::Command::COMMAND_NOT_SET:
      break;
  }
  call->Fail(MakeError(StatusCode::kUnimplemented, "UNKNOWN_COMMAND", "the command is none that this service knows"));
}

void Session::RunCancel(const v1::CancelRequest& request, const CallPtr& call, bool from_stream) {
  v1::Reply reply;
  reply.mutable_cancel();
  if (from_stream) {
    if (const auto found = stream_requests_.find(request.request_id()); found != stream_requests_.end()) {
      Cancel(found->second);
    }
  }
  call->Answer(std::move(reply));
}

// --- The table of transports -----------------------------------------------------------------------------------------

absl::StatusOr<StreamHandle*> Session::FindStream(uint32_t id) {
  if (const auto found = streams_.find(id); found != streams_.end()) return found->second.get();
  if (id == 0 || id > last_id_) return UnknownTransport(id);
  if (servers_.contains(id)) return WrongKind(id, "a server, and has no such method");
  return nullptr;
}

absl::StatusOr<Session::ServerHandle*> Session::FindServer(uint32_t id) {
  if (const auto found = servers_.find(id); found != servers_.end()) return &found->second;
  if (id == 0 || id > last_id_) return UnknownTransport(id);
  if (streams_.contains(id)) return WrongKind(id, "a stream transport, and has no such method");
  return nullptr;
}

template <typename Action>
void Session::OnStream(uint32_t id, const CallPtr& call, v1::Reply reply, Action action) {
  const absl::StatusOr<StreamHandle*> stream = FindStream(id);
  absl::Status status = stream.status();
  if (status.ok() && *stream != nullptr) status = action(**stream, reply);
  if (status.ok()) {
    call->Answer(std::move(reply));
  } else {
    call->Fail(status);
  }
}

template <typename Action>
void Session::OnServer(uint32_t id, const CallPtr& call, v1::Reply reply, Action action) {
  const absl::StatusOr<ServerHandle*> server = FindServer(id);
  absl::Status status = server.status();
  if (status.ok() && *server != nullptr) status = action(**server, reply);
  if (status.ok()) {
    call->Answer(std::move(reply));
  } else {
    call->Fail(status);
  }
}

absl::Status Session::CheckRoom() const {
  if (TransportCount() + creating_count_ < options_.limits.max_transport_count) return absl::OkStatus();
  return MakeError(StatusCode::kResourceExhausted, "TOO_MANY_TRANSPORTS",
                   StrCat("the session has ", TransportCount() + creating_count_,
                          " transports, those under way included, the most that it may"));
}

absl::StatusOr<std::shared_ptr<void>> Session::TakePlace() {
  if (absl::Status room = CheckRoom(); !room.ok()) return room;
  if (std::shared_ptr<void> place = options_.budget->TakeTransport()) return place;
  return MakeError(StatusCode::kResourceExhausted, "TOO_MANY_TRANSPORTS",
                   "the service has as many transports as it may");
}

uint32_t Session::Adopt(StreamHandle& handle) {
  if (state_ != State::kOpen) return 0;
  const auto server = servers_.find(handle.origin().server_id);
  if (handle.origin().place == nullptr) {
    absl::StatusOr<std::shared_ptr<void>> place = TakePlace();
    if (OutboxBytes() > 2 * options_.limits.session_receive_window_bytes) {
      place = MakeError(StatusCode::kResourceExhausted, "CALLBACKS_UNREAD", "the client does not read its callbacks");
    }
    if (!place.ok()) {
      if (server != servers_.end()) {
        OnServerException({.message = "an accepted connection was reset: there is no room for it",
                           .status = place.status(),
                           .server = server->second.server.get()});
      }
      return 0;
    }
    handle.SetPlace(*std::move(place));
  }
  if (last_id_ == UINT32_MAX) return 0;
  if (server != servers_.end()) ++server->second.transport_count;
  const uint32_t id = ++last_id_;
  streams_.emplace(id, std::static_pointer_cast<StreamHandle>(handle.transport().GetProtocol()));
  return id;
}

void Session::Remove(StreamHandle& handle) {
  handle.SetPlace(nullptr);
  streams_.erase(handle.id());
  if (const auto server = servers_.find(handle.origin().server_id); server != servers_.end()) {
    --server->second.transport_count;
    ForgetServerIfOver(server->first);
  }
  ScheduleFlush();
}

uint32_t Session::AddServer(std::shared_ptr<Server> server, std::shared_ptr<void> place) {
  const uint32_t id = ++last_id_;
  ServerHandle& handle = servers_[id];
  const std::vector<SocketAddress> sockets = server->Sockets();
  if (!sockets.empty()) handle.sockname = sockets.front();
  handle.server = std::move(server);
  handle.place = std::move(place);
  handle.open_time = std::chrono::system_clock::now();
  return id;
}

void Session::ForgetServerIfOver(uint32_t id) {
  const auto found = servers_.find(id);
  if (found == servers_.end() || !found->second.closed || found->second.transport_count != 0) return;
  loop_.reactor().DeferredDelete(std::move(found->second.server));
  const std::map<uint64_t, CallPtr> waiting = std::move(found->second.waiting);
  servers_.erase(found);
  for (const auto& [number, call] : waiting) {
    v1::Reply reply;
    reply.mutable_wait_closed();
    call->Answer(std::move(reply));
  }
}

// --- What the loop does ----------------------------------------------------------------------------------------------

void Session::RunCreateConnection(const v1::CreateConnectionRequest& request, const CallPtr& call) {
  absl::StatusOr<std::shared_ptr<void>> place = TakePlace();
  if (!place.ok()) return call->Fail(place.status());
  ++creating_count_;
  const StreamHandle::Origin origin{
      .request_id = call->request_id(), .close_on_eof = request.close_on_eof(), .place = *std::move(place)};
  const OperationId operation = loop_.CreateConnection(
      HandleFactory(weak_from_this(), origin), FromProto(request, options_.limits.default_create_timeout),
      [session = shared_from_this(), call](absl::StatusOr<Connection> connection) {
        --session->creating_count_;
        if (!connection.ok()) return call->Fail(connection.status());
        const auto& handle = static_cast<const StreamHandle&>(*connection->protocol);
        if (!handle.announced()) {
          return call->Fail(MakeError(StatusCode::kResourceExhausted, "TOO_MANY_TRANSPORTS",
                                      "there is no room for another transport"));
        }
        v1::Reply reply;
        reply.mutable_create_connection()->set_transport_id(handle.id());
        ToProto(connection->transport->GetExtraInfo(), *reply.mutable_create_connection()->mutable_extra_info());
        call->Answer(std::move(reply));
      });
  call->SetCancel([this, operation] { loop_.CancelOperation(operation); });
}

void Session::RunCreateServer(const v1::CreateServerRequest& request, const CallPtr& call) {
  absl::StatusOr<std::shared_ptr<void>> place = TakePlace();
  if (!place.ok()) return call->Fail(place.status());
  ++creating_count_;
  // The id is known only with the answer, before which nothing is accepted.
  auto server_id = std::make_shared<uint32_t>(0);
  ProtocolFactory factory = [weak_session = weak_from_this(), server_id, close_on_eof = request.close_on_eof()] {
    return HandleFactory(weak_session, {.server_id = *server_id, .close_on_eof = close_on_eof})();
  };
  const OperationId operation =
      loop_.CreateServer(std::move(factory), FromProto(request, options_.limits.default_create_timeout),
                         [session = shared_from_this(), call, server_id,
                          place = *std::move(place)](absl::StatusOr<std::shared_ptr<Server>> server) mutable {
                           --session->creating_count_;
                           if (!server.ok()) return call->Fail(server.status());
                           if (session->state_ != State::kOpen) {
                             (*server)->Close();
                             return call->Fail(MakeError(StatusCode::kCancelled, "CANCELLED", "the session has ended"));
                           }
                           *server_id = session->AddServer(*server, std::move(place));
                           v1::Reply reply;
                           reply.mutable_create_server()->set_server_id(*server_id);
                           for (const SocketAddress& address : (*server)->Sockets()) {
                             ToProto(address, *reply.mutable_create_server()->add_sockets());
                           }
                           call->Answer(std::move(reply));
                         });
  call->SetCancel([this, operation] { loop_.CancelOperation(operation); });
}

// --- Transports ------------------------------------------------------------------------------------------------------

void Session::RunWrite(const HotEntry& write) {
  // No Call is made where none is needed: this is the hot path.
  absl::Status status = options_.authorizer->Authorize(
      options_.caller, {.method = CommandMethod(v1::Command::kWrite), .request = nullptr});
  if (status.ok() && write.request_id != 0 && stream_requests_.contains(write.request_id)) {
    status = RequestIdInUse(write.request_id);
  }
  if (status.ok()) {
    const absl::StatusOr<StreamHandle*> stream = FindStream(write.transport_id);
    status = stream.status();
    if (status.ok() && *stream != nullptr) {
      status = (*stream)->Write(write.data);
    } else if (status.ok()) {
      ++ignored_command_count_;
    }
  }
  if (write.request_id == 0) {
    if (!status.ok()) ++ignored_command_count_;
    return;
  }
  const CallPtr call = MakeCall(write.request_id, nullptr);
  if (status.ok()) {
    call->Answer(v1::Reply());
  } else {
    call->Fail(status);
  }
}

void Session::RunDrainingWrite(uint32_t id, const std::vector<std::string_view>& pieces, v1::Reply reply,
                               const CallPtr& call, bool from_stream) {
  const absl::StatusOr<StreamHandle*> found = FindStream(id);
  if (!found.ok()) return call->Fail(found.status());
  StreamHandle* stream = *found;
  if (stream == nullptr) return call->Answer(std::move(reply));
  // The Session stream is held up as a whole; unary calls come one by one, and are refused one by one.
  if (!from_stream && (stream->write_buffer_bytes() > options_.limits.send_window_bytes ||
                       write_buffer_bytes_ > static_cast<int64_t>(options_.limits.session_send_window_bytes) ||
                       options_.budget->OverBufferedBytes())) {
    return call->Fail(MakeError(StatusCode::kResourceExhausted, "WRITE_BUFFER_FULL",
                                "nothing was written: the write buffer is full; wait for the answer to one Write "
                                "before the next"));
  }
  for (const std::string_view piece : pieces) {
    if (absl::Status status = stream->Write(piece); !status.ok()) return call->Fail(status);
  }
  stream->AnswerWhenDrained(call, std::move(reply));
}

void Session::RunGetState(const v1::GetStateRequest& request, const CallPtr& call) {
  v1::Reply reply;
  reply.mutable_get_state()->set_is_closing(true);  // All that is known of one that is lost.
  OnStream(request.transport_id(), call, std::move(reply), [](StreamHandle& stream, v1::Reply& out) {
    const Transport& transport = stream.transport();
    v1::GetStateResponse& state = *out.mutable_get_state();
    state.set_is_closing(transport.IsClosing());
    state.set_is_reading(!transport.IsClosing() && !stream.paused_by_client());
    state.set_can_write_eof(transport.CanWriteEof());
    state.set_write_buffer_size_bytes(transport.GetWriteBufferSize());
    ToProto(transport.GetWriteBufferLimits(), *state.mutable_write_buffer_limits());
    ToProto(transport.GetExtraInfo(), *state.mutable_extra_info());
    state.set_received_bytes(transport.ReceivedBytes());
    state.set_sent_bytes(transport.SentBytes());
    return absl::OkStatus();
  });
}

namespace {

absl::StatusOr<SocketOption> OptionFromProto(v1::SocketOption option) {
  const std::optional<SocketOption> known = SocketOptionFromNumber(option);
  if (known.has_value()) return *known;
  return InvalidArgument("UNKNOWN_OPTION", "option",
                         StrCat("option ", static_cast<int>(option), " is not on the list of SocketOption"));
}

absl::Status TransportLost() {
  return MakeError(StatusCode::kFailedPrecondition, "TRANSPORT_LOST", "the socket is gone");
}

}  // namespace

void Session::RunGetsockopt(const v1::GetsockoptRequest& request, const CallPtr& call) {
  const absl::StatusOr<SocketOption> option = OptionFromProto(request.option());
  if (!option.ok()) return call->Fail(option.status());
  auto done = [call](absl::StatusOr<int> value) {
    if (!value.ok()) return call->Fail(value.status());
    v1::Reply reply;
    reply.mutable_getsockopt()->set_value(*value);
    call->Answer(std::move(reply));
  };
  if (const auto server = servers_.find(request.transport_id()); server != servers_.end()) {
    return server->second.server->Getsockopt(*option, std::move(done));
  }
  const absl::StatusOr<StreamHandle*> stream = FindStream(request.transport_id());
  if (!stream.ok()) return call->Fail(stream.status());
  if (*stream == nullptr) return call->Fail(TransportLost());
  (*stream)->transport().Getsockopt(*option, std::move(done));
}

void Session::RunSetsockopt(const v1::SetsockoptRequest& request, const CallPtr& call) {
  const absl::StatusOr<SocketOption> option = OptionFromProto(request.option());
  if (!option.ok()) return call->Fail(option.status());
  auto done = [call](absl::Status status) {
    if (!status.ok()) return call->Fail(status);
    v1::Reply reply;
    reply.mutable_setsockopt();
    call->Answer(std::move(reply));
  };
  if (const auto server = servers_.find(request.transport_id()); server != servers_.end()) {
    return server->second.server->Setsockopt(*option, request.value(), std::move(done));
  }
  const absl::StatusOr<StreamHandle*> stream = FindStream(request.transport_id());
  if (!stream.ok()) return call->Fail(stream.status());
  if (*stream == nullptr) return call->Fail(TransportLost());
  (*stream)->transport().Setsockopt(*option, request.value(), std::move(done));
}

// --- Servers ---------------------------------------------------------------------------------------------------------

void Session::RunStartServing(const v1::StartServingRequest& request, const CallPtr& call) {
  const absl::StatusOr<ServerHandle*> server = FindServer(request.server_id());
  if (!server.ok()) return call->Fail(server.status());
  if (*server == nullptr) {
    return call->Fail(MakeError(StatusCode::kFailedPrecondition, "SERVER_CLOSED", "the server is closed"));
  }
  (*server)->server->StartServing([call](absl::Status status) {
    if (!status.ok()) return call->Fail(status);
    v1::Reply reply;
    reply.mutable_start_serving();
    call->Answer(std::move(reply));
  });
}

void Session::RunServerClose(const v1::ServerCloseRequest& request, const CallPtr& call) {
  v1::Reply reply;
  reply.mutable_server_close();
  const absl::StatusOr<ServerHandle*> server = FindServer(request.server_id());
  if (!server.ok()) return call->Fail(server.status());
  if (*server == nullptr) return call->Answer(std::move(reply));
  (*server)->closed = true;
  const std::shared_ptr<Server> closing = (*server)->server;
  ForgetServerIfOver(request.server_id());
  closing->Close([call, reply = std::move(reply)]() mutable { call->Answer(std::move(reply)); });
}

void Session::RunWaitClosed(const v1::WaitClosedRequest& request, const CallPtr& call) {
  v1::Reply reply;
  reply.mutable_wait_closed();
  const absl::StatusOr<ServerHandle*> server = FindServer(request.server_id());
  if (!server.ok()) return call->Fail(server.status());
  // Once it is over, it is not in the table.
  if (*server == nullptr) return call->Answer(std::move(reply));
  (*server)->waiting.emplace(call->number(), call);
  call->SetCancel([this, server_id = request.server_id(), number = call->number()] {
    auto waiting = servers_.at(server_id).waiting.extract(number);
    waiting.mapped()->Fail(MakeError(StatusCode::kCancelled, "CANCELLED", "the wait was cancelled"));
  });
}

}  // namespace transportd
