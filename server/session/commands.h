// The commands of a session: what each variant of v1::Command does. A row for each, in the file of its kind.
#ifndef TRANSPORTD_SERVER_SESSION_COMMANDS_H_
#define TRANSPORTD_SERVER_SESSION_COMMANDS_H_

#include <memory>
#include <span>
#include <utility>

#include "server/session/call.h"
#include "server/session/handle.h"
#include "server/session/session.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/api/error.h"

namespace transportd {

// One command to carry out. Threading: a value, for the time of the call; loop thread only.
struct CommandContext {
  Session& session;
  const v1::Command& command;
  // To be answered, now or later; until then it is the session's, and may be cancelled: Call::SetCancel.
  const std::shared_ptr<Call>& call;
  // From the Session stream; else a unary call.
  bool from_stream;
};

struct CommandRow {
  v1::Command::CommandCase variant;
  // It may stay unanswered for long. All others are carried out at once, and must be even when no more may wait:
  // cancel, close and abort are the way down from there.
  bool may_wait;
  void (*run)(const CommandContext& context);
};

// session_commands.cc: cancel.
std::span<const CommandRow> SessionCommands();
// loop_commands.cc: the calls that make transports.
std::span<const CommandRow> LoopCommands();
// socket_commands.cc: existing sockets, names and files.
std::span<const CommandRow> SocketCommands();
// tls_commands.cc: start_tls.
std::span<const CommandRow> TlsCommands();
// transport_commands.cc: the methods that several kinds have, and those of streams.
std::span<const CommandRow> TransportCommands();
// server_commands.cc
std::span<const CommandRow> ServerCommands();
// datagram_commands.cc
std::span<const CommandRow> DatagramCommands();

// subprocess_commands.cc
std::span<const CommandRow> SubprocessCommands();

// Null: there is none.
const CommandRow* FindCommandRow(v1::Command::CommandCase variant);

// For a transport that was made when the session had no room for it any more.
inline absl::Status NoRoom() {
  return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_TRANSPORTS",
                   "there is no room for another transport");
}

// Cancelling the command cancels the operation.
inline void CancelWith(const CommandContext& context, OperationId operation) {
  context.call->SetCancel([&loop = context.session.loop(), operation] { loop.CancelOperation(operation); });
}

// Calls `action` with the handle when it is there, and answers with `reply`, which the action may fill in, or with the
// action's error. One that is lost is no error: the command does nothing.
template <typename Action>
void OnHandle(const CommandContext& context, uint32_t id, v1::Reply reply, Action action) {
  const absl::StatusOr<Handle*> handle = context.session.FindHandle(id);
  absl::Status status = handle.status();
  if (status.ok() && *handle != nullptr) status = action(**handle, reply);
  if (!status.ok()) return context.call->Fail(status);
  context.call->Answer(std::move(reply));
}

// As above, for handles of one kind.
template <typename T, typename Action>
void On(const CommandContext& context, uint32_t id, v1::Reply reply, Action action) {
  const absl::StatusOr<T*> handle = context.session.Find<T>(id);
  absl::Status status = handle.status();
  if (status.ok() && *handle != nullptr) status = action(**handle, reply);
  if (!status.ok()) return context.call->Fail(status);
  context.call->Answer(std::move(reply));
}

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_COMMANDS_H_
