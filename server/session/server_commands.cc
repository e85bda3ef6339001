// The methods of servers.
#include <utility>

#include "server/session/commands.h"
#include "server/session/server_handle.h"
#include "transports/api/error.h"

namespace transportd {

namespace {

void StartServing(const CommandContext& context) {
  const absl::StatusOr<ServerHandle*> server =
      context.session.Find<ServerHandle>(context.command.start_serving().server_id());
  if (!server.ok()) return context.call->Fail(server.status());
  if (*server == nullptr) {
    return context.call->Fail(
        MakeError(absl::StatusCode::kFailedPrecondition, "SERVER_CLOSED", "the server is closed"));
  }
  (*server)->server().StartServing([call = context.call](absl::Status status) {
    if (!status.ok()) return call->Fail(status);
    v1::Reply reply;
    reply.mutable_start_serving();
    call->Answer(std::move(reply));
  });
}

void ServerClose(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_server_close();
  const absl::StatusOr<ServerHandle*> server =
      context.session.Find<ServerHandle>(context.command.server_close().server_id());
  if (!server.ok()) return context.call->Fail(server.status());
  if (*server == nullptr) return context.call->Answer(std::move(reply));
  (*server)->CloseServer([call = context.call, reply = std::move(reply)]() mutable { call->Answer(std::move(reply)); });
}

void WaitClosed(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_wait_closed();
  const absl::StatusOr<ServerHandle*> server =
      context.session.Find<ServerHandle>(context.command.wait_closed().server_id());
  if (!server.ok()) return context.call->Fail(server.status());
  // Once it is over, it is not in the table.
  if (*server == nullptr) return context.call->Answer(std::move(reply));
  (*server)->AnswerWhenClosed(context.call);
}

void CloseClients(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_close_clients();
  On<ServerHandle>(
      context, context.command.close_clients().server_id(), std::move(reply), [](ServerHandle& server, v1::Reply& out) {
        server.server().CloseClients(
            [&out](size_t count) { out.mutable_close_clients()->set_closed_count(static_cast<uint32_t>(count)); });
        return absl::OkStatus();
      });
}

void AbortClients(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_abort_clients();
  On<ServerHandle>(
      context, context.command.abort_clients().server_id(), std::move(reply), [](ServerHandle& server, v1::Reply& out) {
        server.server().AbortClients(
            [&out](size_t count) { out.mutable_abort_clients()->set_aborted_count(static_cast<uint32_t>(count)); });
        return absl::OkStatus();
      });
}

constexpr CommandRow kServerRows[] = {
    {v1::Command::kStartServing, /*may_wait=*/false, StartServing},
    {v1::Command::kServerClose, /*may_wait=*/false, ServerClose},
    {v1::Command::kWaitClosed, /*may_wait=*/true, WaitClosed},
    {v1::Command::kCloseClients, /*may_wait=*/false, CloseClients},
    {v1::Command::kAbortClients, /*may_wait=*/false, AbortClients},
};

}  // namespace

std::span<const CommandRow> ServerCommands() { return kServerRows; }

}  // namespace transportd
