// The methods that several kinds of transports have, and those of streams. `write` is in session.cc: it is hot.
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/session/commands.h"
#include "server/session/convert.h"
#include "server/session/stream_handle.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/transport_lost.h"

namespace transportd {

namespace {

using absl::StatusCode;

void DrainingWrite(const CommandContext& context, uint32_t id, const std::vector<std::string_view>& pieces,
                   v1::Reply reply) {
  const absl::StatusOr<StreamHandle*> found = context.session.Find<StreamHandle>(id);
  if (!found.ok()) return context.call->Fail(found.status());
  StreamHandle* const stream = *found;
  if (stream == nullptr) return context.call->Answer(std::move(reply));
  // The Session stream is held up as a whole; unary calls come one by one, and are refused one by one.
  if (!context.from_stream && context.session.SendWindowIsFull(*stream)) {
    return context.call->Fail(MakeError(StatusCode::kResourceExhausted, "WRITE_BUFFER_FULL",
                                        "nothing was written: the write buffer is full; wait for the answer to one "
                                        "Write before the next"));
  }
  if (absl::Status status = stream->Writelines(pieces); !status.ok()) return context.call->Fail(status);
  stream->AnswerWhenDrained(context.call, std::move(reply));
}

void WriteAndDrain(const CommandContext& context) {
  const v1::WriteRequest& request = context.command.write_and_drain();
  v1::Reply reply;
  reply.mutable_write_and_drain();
  DrainingWrite(context, request.transport_id(), {request.data()}, std::move(reply));
}

void Writelines(const CommandContext& context) {
  const v1::WritelinesRequest& request = context.command.writelines();
  v1::Reply reply;
  reply.mutable_writelines();
  DrainingWrite(context, request.transport_id(), {request.lines().begin(), request.lines().end()}, std::move(reply));
}

void WriteEof(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_write_eof();
  On<StreamHandle>(context, context.command.write_eof().transport_id(), std::move(reply),
                   [](StreamHandle& stream, v1::Reply&) { return stream.WriteEof(); });
}

void Close(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_close();
  OnHandle(context, context.command.close().transport_id(), std::move(reply),
           [](Handle& handle, v1::Reply&) { return handle.Close(); });
}

void Abort(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_abort();
  OnHandle(context, context.command.abort().transport_id(), std::move(reply),
           [&](Handle& handle, v1::Reply&) { return handle.Abort(context.command.abort().reset()); });
}

void PauseReading(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_pause_reading();
  OnHandle(context, context.command.pause_reading().transport_id(), std::move(reply),
           [](Handle& handle, v1::Reply&) { return handle.SetPausedByClient(true); });
}

void ResumeReading(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_resume_reading();
  OnHandle(context, context.command.resume_reading().transport_id(), std::move(reply),
           [](Handle& handle, v1::Reply&) { return handle.SetPausedByClient(false); });
}

void SetWriteBufferLimits(const CommandContext& context) {
  const v1::SetWriteBufferLimitsRequest& request = context.command.set_write_buffer_limits();
  v1::Reply reply;
  reply.mutable_set_write_buffer_limits();
  OnHandle(context, request.transport_id(), std::move(reply), [&](Handle& handle, v1::Reply& out) {
    absl::Status status = handle.SetWriteBufferLimits(FromProto(request.limits()));
    if (!status.ok()) return status;
    const absl::StatusOr<WriteBufferMarks> marks = handle.GetWriteBufferLimits();
    if (marks.ok()) ToProto(*marks, *out.mutable_set_write_buffer_limits()->mutable_limits());
    return marks.status();
  });
}

void GetState(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_get_state()->set_is_closing(true);  // All that is known of one that is lost.
  OnHandle(context, context.command.get_state().transport_id(), std::move(reply),
           [](Handle& handle, v1::Reply& out) { return handle.GetState(*out.mutable_get_state()); });
}

absl::StatusOr<SocketOption> OptionFromProto(v1::SocketOption option) {
  const std::optional<SocketOption> known = SocketOptionFromNumber(option);
  if (known.has_value()) return *known;
  return InvalidArgument("UNKNOWN_OPTION", "option",
                         StrCat("option ", static_cast<int>(option), " is not on the list of SocketOption"));
}

void Getsockopt(const CommandContext& context) {
  const v1::GetsockoptRequest& request = context.command.getsockopt();
  const absl::StatusOr<SocketOption> option = OptionFromProto(request.option());
  if (!option.ok()) return context.call->Fail(option.status());
  const absl::StatusOr<Handle*> handle = context.session.FindHandle(request.transport_id());
  if (!handle.ok()) return context.call->Fail(handle.status());
  if (*handle == nullptr) return context.call->Fail(TransportLost());
  (*handle)->Getsockopt(*option, [call = context.call](absl::StatusOr<int> value) {
    if (!value.ok()) return call->Fail(value.status());
    v1::Reply reply;
    reply.mutable_getsockopt()->set_value(*value);
    call->Answer(std::move(reply));
  });
}

void Setsockopt(const CommandContext& context) {
  const v1::SetsockoptRequest& request = context.command.setsockopt();
  const absl::StatusOr<SocketOption> option = OptionFromProto(request.option());
  if (!option.ok()) return context.call->Fail(option.status());
  const absl::StatusOr<Handle*> handle = context.session.FindHandle(request.transport_id());
  if (!handle.ok()) return context.call->Fail(handle.status());
  if (*handle == nullptr) return context.call->Fail(TransportLost());
  (*handle)->Setsockopt(*option, request.value(),
                        [session = context.session.shared_from_this(), call = context.call, id = request.transport_id(),
                         is_server = (*handle)->kind() == Handle::Kind::kServer](const absl::Status& status) {
                          // Of a server's sockets, some may have it nevertheless.
                          if (status.ok() || is_server) session->AddSettings(id, call->needs());
                          if (!status.ok()) return call->Fail(status);
                          v1::Reply reply;
                          reply.mutable_setsockopt();
                          call->Answer(std::move(reply));
                        });
}

constexpr CommandRow kTransportRows[] = {
    {v1::Command::kWriteAndDrain, /*may_wait=*/true, WriteAndDrain},
    {v1::Command::kWritelines, /*may_wait=*/true, Writelines},
    {v1::Command::kWriteEof, /*may_wait=*/false, WriteEof},
    {v1::Command::kClose, /*may_wait=*/false, Close},
    {v1::Command::kAbort, /*may_wait=*/false, Abort},
    {v1::Command::kPauseReading, /*may_wait=*/false, PauseReading},
    {v1::Command::kResumeReading, /*may_wait=*/false, ResumeReading},
    {v1::Command::kSetWriteBufferLimits, /*may_wait=*/false, SetWriteBufferLimits},
    {v1::Command::kGetState, /*may_wait=*/false, GetState},
    {v1::Command::kGetsockopt, /*may_wait=*/false, Getsockopt},
    {v1::Command::kSetsockopt, /*may_wait=*/false, Setsockopt},
};

}  // namespace

std::span<const CommandRow> TransportCommands() { return kTransportRows; }

}  // namespace transportd
