// start_tls.
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/session/commands.h"
#include "server/session/session.h"
#include "server/session/stream_handle.h"
#include "server/session/tls_convert.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

void StartTls(const CommandContext& context) {
  const v1::StartTlsRequest& request = context.command.start_tls();
  const absl::StatusOr<StreamHandle*> stream = context.session.Find<StreamHandle>(request.transport_id());
  if (!stream.ok()) return context.call->Fail(stream.status());
  if (*stream == nullptr) {
    return context.call->Fail(
        MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_LOST", "the connection is lost"));
  }
  const std::shared_ptr<Transport> transport = (*stream)->shared_transport();
  context.session.AddSettings(request.transport_id(), context.call->needs());
  const OperationId operation = context.session.loop().StartTls(
      transport,
      {.server_side = request.server_side(),
       .tls = FromProto(request.tls(), context.session.id()),
       .incoming = request.incoming()},
      [transport, session = context.session.shared_from_this(), call = context.call,
       id = request.transport_id()](const absl::Status& status) {
        if (!status.ok()) {
          session->RemoveSettings(id, call->needs());
          return call->Fail(status);
        }
        v1::Reply reply;
        ToProto(*transport->GetExtraInfo().tls, *reply.mutable_start_tls()->mutable_tls());
        call->Answer(std::move(reply));
      });
  context.call->SetCancel([&loop = context.session.loop(), operation] { loop.CancelOperation(operation); });
}

constexpr CommandRow kTlsRows[] = {
    {v1::Command::kStartTls, /*may_wait=*/true, StartTls},
};

}  // namespace

std::span<const CommandRow> TlsCommands() { return kTlsRows; }

}  // namespace transportd
