// Datagram endpoints: the call that makes them, and the methods that only they have. `sendto` is in
// session_commands.cc: it is hot.
#include <memory>
#include <optional>
#include <utility>

#include "server/policy/request_check.h"
#include "server/session/command_table.h"
#include "server/session/commands.h"
#include "server/session/convert.h"
#include "server/session/datagram_handle.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/transport_lost.h"

namespace transportd {

namespace {

using absl::StatusCode;

// The protocol of an endpoint whose session is gone before it was made.
class RefusingDatagramProtocol final : public DatagramProtocol {
 public:
  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override { transport->Abort(); }
};

void CreateDatagramEndpoint(const CommandContext& context) {
  const v1::CreateDatagramEndpointRequest& request = context.command.create_datagram_endpoint();
  absl::StatusOr<std::shared_ptr<void>> place = context.session.TakePlace();
  if (!place.ok()) return context.call->Fail(place.status());
  const bool is_unix = request.has_local_path() || request.has_remote_path();
  absl::StatusOr<std::shared_ptr<OperationGate>> gate = context.session.BeginOperation(
      *context.call,
      {.kind = GuardedOperation::Kind::kDatagram,
       .method = CommandMethod(context.command.command_case()),
       .protocol = is_unix ? ActionProtocol::kNone : ActionProtocol::kUdp,
       .requested = is_unix ? request.remote_path() : StrCat(request.remote().host(), ":", request.remote().port()),
       .host = std::string(NameIn(request.remote().host()))});
  if (!gate.ok()) return context.call->Fail(gate.status());
  DatagramProtocolFactory factory = [weak_session = context.session.weak_from_this(),
                                     request_id = context.call->request_id(), place = *std::move(place), gate = *gate,
                                     settings = context.call->needs()]() -> std::shared_ptr<DatagramProtocol> {
    if (std::shared_ptr<Session> session = weak_session.lock()) {
      auto handle = std::make_shared<DatagramHandle>(std::move(session), request_id, place);
      handle->SetGate(gate);
      handle->AddSettings(settings);
      return handle;
    }
    return std::make_shared<RefusingDatagramProtocol>();
  };
  CreateDatagramEndpointOptions options = FromProto(request, context.session.limits().default_create_timeout);
  options.gate = *std::move(gate);
  options.asker = context.session.caller().principal;
  const OperationId operation = context.session.loop().CreateDatagramEndpoint(
      std::move(factory), std::move(options),
      [session = context.session.shared_from_this(), call = context.call](absl::StatusOr<DatagramEndpoint> endpoint) {
        if (!endpoint.ok()) return call->Fail(endpoint.status());
        const auto& handle = static_cast<const DatagramHandle&>(*endpoint->protocol);
        if (handle.id() == 0) {
          return call->Fail(MakeError(StatusCode::kResourceExhausted, "TOO_MANY_TRANSPORTS",
                                      "there is no room for another transport"));
        }
        v1::Reply reply;
        v1::CreateDatagramEndpointResponse& response = *reply.mutable_create_datagram_endpoint();
        response.set_transport_id(handle.id());
        ToProto(endpoint->transport->GetExtraInfo(), *response.mutable_extra_info());
        if (const auto& remote = endpoint->transport->RemoteAddress()) {
          ToProto(*remote, *response.mutable_remote_address());
        }
        call->Answer(std::move(reply));
      });
  context.call->SetCancel([&loop = context.session.loop(), operation] { loop.CancelOperation(operation); });
}

void SendToAndDrain(const CommandContext& context) {
  const v1::SendToRequest& request = context.command.sendto_and_drain();
  v1::Reply reply;
  reply.mutable_sendto_and_drain();
  const absl::StatusOr<DatagramHandle*> found = context.session.Find<DatagramHandle>(request.transport_id());
  if (!found.ok()) return context.call->Fail(found.status());
  DatagramHandle* const endpoint = *found;
  if (endpoint == nullptr) return context.call->Answer(std::move(reply));
  if (!context.from_stream && context.session.SendWindowIsFull(*endpoint)) {
    return context.call->Fail(MakeError(StatusCode::kResourceExhausted, "WRITE_BUFFER_FULL",
                                        "nothing was sent: the write buffer is full; wait for the answer to one "
                                        "SendTo before the next"));
  }
  std::optional<SocketAddress> address;
  if (request.datagram().has_address()) {
    absl::StatusOr<SocketAddress> converted = FromProto(request.datagram().address());
    if (!converted.ok()) return context.call->Fail(converted.status());
    address = *std::move(converted);
  }
  if (absl::Status status = endpoint->Gather(request.datagram().data(), address ? &*address : nullptr); !status.ok()) {
    return context.call->Fail(status);
  }
  endpoint->SendGathered();
  endpoint->AnswerWhenDrained(context.call, std::move(reply));
}

// `changed(session)` once it has.
template <typename Request, typename Changed>
void ChangeGroup(const CommandContext& context, const Request& request,
                 void (DatagramTransport::*method)(const MulticastGroup&, absl::AnyInvocable<void(absl::Status)>),
                 v1::Reply reply, Changed changed) {
  const absl::StatusOr<DatagramHandle*> found = context.session.Find<DatagramHandle>(request.transport_id());
  if (!found.ok()) return context.call->Fail(found.status());
  if (*found == nullptr) return context.call->Fail(TransportLost());
  ((*found)->transport().*method)({.address = request.address(), .interface_index = request.interface_index()},
                                  [session = context.session.shared_from_this(), call = context.call, changed,
                                   reply = std::move(reply)](const absl::Status& status) mutable {
                                    if (!status.ok()) return call->Fail(status);
                                    changed(*session);
                                    call->Answer(std::move(reply));
                                  });
}

void JoinGroup(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_join_group();
  const v1::JoinGroupRequest& request = context.command.join_group();
  ChangeGroup(context, request, &DatagramTransport::JoinGroup, std::move(reply),
              [id = request.transport_id(), settings = context.call->needs()](Session& session) {
                session.AddSettings(id, settings);
              });
}

void LeaveGroup(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_leave_group();
  const v1::LeaveGroupRequest& request = context.command.leave_group();
  ChangeGroup(context, request, &DatagramTransport::LeaveGroup, std::move(reply),
              [id = request.transport_id()](Session& session) {
                session.RemoveSettings(id, {{ActionKind::kOption, std::string(kMembershipOption)}});
              });
}

constexpr CommandRow kDatagramRows[] = {
    {v1::Command::kCreateDatagramEndpoint, /*may_wait=*/true, CreateDatagramEndpoint},
    {v1::Command::kSendtoAndDrain, /*may_wait=*/true, SendToAndDrain},
    {v1::Command::kJoinGroup, /*may_wait=*/false, JoinGroup},
    {v1::Command::kLeaveGroup, /*may_wait=*/false, LeaveGroup},
};

}  // namespace

std::span<const CommandRow> DatagramCommands() { return kDatagramRows; }

}  // namespace transportd
