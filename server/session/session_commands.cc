// A session's calls: from a command to its one answer.
#include <algorithm>
#include <utility>

#include "server/session/command_table.h"
#include "server/session/commands.h"
#include "server/session/convert.h"
#include "server/session/datagram_handle.h"
#include "server/session/session.h"
#include "server/session/stream_handle.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

using absl::StatusCode;

absl::Status RequestIdInUse(uint32_t request_id) {
  return MakeError(StatusCode::kAlreadyExists, "REQUEST_ID_IN_USE",
                   StrCat("request_id ", request_id, " is that of an unanswered command"));
}

void CancelCommand(const CommandContext& context) {
  if (context.from_stream) context.session.CancelRequest(context.command.cancel().request_id());
  v1::Reply reply;
  reply.mutable_cancel();
  context.call->Answer(std::move(reply));
}

constexpr CommandRow kSessionRows[] = {{v1::Command::kCancel, /*may_wait=*/false, CancelCommand}};

}  // namespace

std::span<const CommandRow> SessionCommands() { return kSessionRows; }

Session::CallPtr Session::MakeCall(uint32_t request_id, absl::AnyInvocable<void(v1::Reply)> answer) {
  const bool from_stream = answer == nullptr;
  return std::make_shared<Call>(
      ++last_call_number_, request_id,
      [session = shared_from_this(), answer = std::move(answer), from_stream, begin = loop_.Time()](
          Call& call, v1::Reply reply) mutable {
        session->CountAnswer(call, reply, begin);
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

void Session::CountAnswer(const Call& call, const v1::Reply& reply, TimePoint begin) {
  const size_t number = call.command_number();
  if (number == 0 || number >= kCommandNumberCount) return;
  const auto code = static_cast<size_t>(reply.error().code());  // 0 without an error.
  stats().command_count[number][std::min(code, kCodeCount - 1)].Add();
  stats().command_ns[number].Record(static_cast<uint64_t>((loop_.Time() - begin).count()));
}

uint64_t Session::Execute(const v1::Command& command, absl::AnyInvocable<void(v1::Reply)> answer) {
  const CallPtr call = MakeCall(command.request_id(), std::move(answer));
  active_at_ = loop_.Time();
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
  const Access access{.method = CommandMethod(command.command_case()),
                      .request = CommandRequest(command),
                      .guard = options_.guard.get()};
  if (access.request != nullptr) call->set_request_type(access.request->GetDescriptor());
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
  call->set_command_number(command.command_case());
  const CommandRow* const row = FindCommandRow(command.command_case());
  if (row == nullptr) {
    call->Fail(MakeError(StatusCode::kUnimplemented, "UNKNOWN_COMMAND", "the command is none that this service knows"));
    return;
  }
  if (row->may_wait && calls_.size() >= options_.limits.max_request_count) {
    call->Fail(MakeError(StatusCode::kResourceExhausted, "TOO_MANY_REQUESTS",
                         StrCat(calls_.size(), " commands are unanswered, the most that this session may have")));
    return;
  }
  if (!from_stream && row->may_wait && OutboxBytes() > options_.limits.session_receive_window_bytes) {
    call->Fail(MakeError(StatusCode::kResourceExhausted, "CALLBACKS_UNREAD",
                         StrCat(OutboxBytes(), " bytes of callbacks wait to be read: read Callbacks first")));
    return;
  }
  if (const google::protobuf::Message* const request = CommandRequest(command);
      options_.guard != nullptr && request != nullptr) {
    call->SetNeeds(NeedsIn(*request));
  }
  row->run({.session = *this, .command = command, .call = call, .from_stream = from_stream});
  if (call->answered()) return;
  calls_.emplace(call->number(), call);
  if (from_stream && call->request_id() != 0) stream_requests_.emplace(call->request_id(), call->number());
}

namespace {

absl::Status WriteTo(StreamHandle& stream, const HotEntry& write) {
  if (write.more_data.empty()) return stream.Write(write.data);
  std::vector<std::string_view> lines = {write.data};
  lines.insert(lines.end(), write.more_data.begin(), write.more_data.end());
  return stream.Writelines(lines);
}

}  // namespace

void Session::RunWrite(const HotEntry& write) {
  stats().command_count[v1::Command::kWrite][0].Add();
  SendGathered();
  // No Call is made where none is needed: this is the hot path.
  absl::Status status = options_.authorizer->Authorize(
      options_.caller, {.method = CommandMethod(v1::Command::kWrite), .guard = options_.guard.get()});
  if (status.ok() && write.request_id != 0 && stream_requests_.contains(write.request_id)) {
    status = RequestIdInUse(write.request_id);
  }
  if (status.ok()) {
    const absl::StatusOr<StreamHandle*> stream = Find<StreamHandle>(write.transport_id);
    status = stream.status();
    if (status.ok() && *stream != nullptr) {
      status = WriteTo(**stream, write);
    } else if (status.ok()) {
      ++ignored_command_count_;
    }
  }
  AnswerHot(write.request_id, status);
}

void Session::RunSendTo(const HotEntry& sendto, const v1::SocketAddress* address) {
  stats().command_count[v1::Command::kSendto][0].Add();
  // The request that the authorizer is asked about has this address already, if any.
  if (address == nullptr) sendto_request_.mutable_datagram()->clear_address();
  sendto_request_.set_transport_id(sendto.transport_id);
  absl::Status status = options_.authorizer->Authorize(
      options_.caller,
      {.method = CommandMethod(v1::Command::kSendto), .request = &sendto_request_, .guard = options_.guard.get()});
  if (status.ok() && sendto.request_id != 0 && stream_requests_.contains(sendto.request_id)) {
    status = RequestIdInUse(sendto.request_id);
  }
  absl::StatusOr<SocketAddress> to = SocketAddress();
  if (address != nullptr) {
    to = FromProto(*address);
    status.Update(to.status());
  }
  if (status.ok()) {
    const absl::StatusOr<DatagramHandle*> endpoint = Find<DatagramHandle>(sendto.transport_id);
    status = endpoint.status();
    if (status.ok() && *endpoint != gathering_) SendGathered();
    if (status.ok() && *endpoint != nullptr) {
      gathering_ = *endpoint;
      status = gathering_->Gather(sendto.data, address == nullptr ? nullptr : &*to);
    } else if (status.ok()) {
      ++ignored_command_count_;
    }
  }
  AnswerHot(sendto.request_id, status);
}

void Session::SendGathered() {
  if (gathering_ != nullptr) std::exchange(gathering_, nullptr)->SendGathered();
}

void Session::AnswerHot(uint32_t request_id, const absl::Status& status) {
  if (request_id == 0) {
    if (!status.ok()) ++ignored_command_count_;
    return;
  }
  const CallPtr call = MakeCall(request_id, nullptr);
  if (status.ok()) {
    call->Answer(v1::Reply());
  } else {
    call->Fail(status);
  }
}

bool Session::SendWindowIsFull(const FlowHandle& handle) const {
  return handle.write_buffer_bytes() > options_.limits.send_window_bytes ||
         write_buffer_bytes_ > static_cast<int64_t>(options_.limits.session_send_window_bytes) ||
         IsOverBudget(write_buffer_bytes_);
}

void Session::CancelRequest(uint32_t request_id) {
  if (const auto found = stream_requests_.find(request_id); found != stream_requests_.end()) Cancel(found->second);
}

}  // namespace transportd
