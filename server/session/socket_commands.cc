// Existing sockets, names and files.
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/session/command_table.h"
#include "server/session/commands.h"
#include "server/session/convert.h"
#include "server/session/session.h"
#include "server/session/socket_convert.h"
#include "server/session/socket_handle.h"
#include "server/session/stream_handle.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

void Socketpair(const CommandContext& context) {
  const v1::SocketpairRequest& request = context.command.socketpair();
  std::array<std::shared_ptr<void>, 2> places;
  for (std::shared_ptr<void>& place : places) {
    absl::StatusOr<std::shared_ptr<void>> taken = context.session.TakePlace();
    if (!taken.ok()) return context.call->Fail(taken.status());
    place = *std::move(taken);
  }
  const OperationId operation = context.session.loop().Socketpair(
      FromProto(request), [session = context.session.shared_from_this(), call = context.call,
                           places = std::move(places)](absl::StatusOr<SocketPair> pair) mutable {
        if (!pair.ok()) return call->Fail(pair.status());
        const auto first = std::make_shared<SocketHandle>(*session, pair->first, std::move(places[0]));
        const auto second = std::make_shared<SocketHandle>(*session, pair->second, std::move(places[1]));
        if (!session->Adopt(first) || !session->Adopt(second)) {
          return call->Fail(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the session has ended"));
        }
        v1::Reply reply;
        reply.mutable_socketpair()->set_first_socket_id(first->id());
        reply.mutable_socketpair()->set_second_socket_id(second->id());
        ToProto(pair->first->Kind(), *reply.mutable_socketpair()->mutable_kind());
        call->Answer(std::move(reply));
      });
  CancelWith(context, operation);
}

void Getaddrinfo(const CommandContext& context) {
  const OperationId operation =
      context.session.loop().Getaddrinfo(FromProto(context.command.getaddrinfo()), context.session.caller().principal,
                                         [call = context.call](const absl::StatusOr<std::vector<AddressInfo>>& infos) {
                                           if (!infos.ok()) return call->Fail(infos.status());
                                           v1::Reply reply;
                                           reply.mutable_getaddrinfo();
                                           for (const AddressInfo& info : *infos)
                                             ToProto(info, *reply.mutable_getaddrinfo()->add_infos());
                                           call->Answer(std::move(reply));
                                         });
  CancelWith(context, operation);
}

void Getnameinfo(const CommandContext& context) {
  const v1::GetnameinfoRequest& request = context.command.getnameinfo();
  const absl::StatusOr<SocketAddress> address = FromProto(request.address());
  if (!address.ok()) return context.call->Fail(address.status());
  const OperationId operation =
      context.session.loop().Getnameinfo(*address, request.flags(), context.session.caller().principal,
                                         [call = context.call](const absl::StatusOr<NameInfo>& info) {
                                           if (!info.ok()) return call->Fail(info.status());
                                           v1::Reply reply;
                                           reply.mutable_getnameinfo()->set_host(info->host);
                                           reply.mutable_getnameinfo()->set_service(info->service);
                                           call->Answer(std::move(reply));
                                         });
  CancelWith(context, operation);
}

void Sendfile(const CommandContext& context) {
  const v1::SendfileRequest& request = context.command.sendfile();
  const absl::StatusOr<StreamHandle*> stream = context.session.Find<StreamHandle>(request.transport_id());
  if (!stream.ok()) return context.call->Fail(stream.status());
  if (*stream == nullptr) {
    return context.call->Fail(
        MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_LOST", "the connection is lost"));
  }
  absl::StatusOr<std::shared_ptr<OperationGate>> gate =
      context.session.BeginOperation(*context.call, {.kind = GuardedOperation::Kind::kFile,
                                                     .method = CommandMethod(context.command.command_case()),
                                                     .requested = request.path()});
  if (!gate.ok()) return context.call->Fail(gate.status());
  SendfileOptions options = FromProto(request);
  options.gate = *std::move(gate);
  const OperationId operation = context.session.loop().Sendfile(
      (*stream)->shared_transport(), std::move(options), [call = context.call](absl::StatusOr<uint64_t> sent_bytes) {
        if (!sent_bytes.ok()) return call->Fail(sent_bytes.status());
        v1::Reply reply;
        reply.mutable_sendfile()->set_sent_bytes(*sent_bytes);
        call->Answer(std::move(reply));
      });
  CancelWith(context, operation);
}

constexpr CommandRow kSocketRows[] = {
    {v1::Command::kSocketpair, /*may_wait=*/true, Socketpair},
    {v1::Command::kGetaddrinfo, /*may_wait=*/true, Getaddrinfo},
    {v1::Command::kGetnameinfo, /*may_wait=*/true, Getnameinfo},
    {v1::Command::kSendfile, /*may_wait=*/true, Sendfile},
};

}  // namespace

std::span<const CommandRow> SocketCommands() { return kSocketRows; }

}  // namespace transportd
