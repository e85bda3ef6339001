// One call of any method, as bytes: from the wish for it to its last completion.
#ifndef TRANSPORTD_SERVER_RPC_SERVER_CALL_H_
#define TRANSPORTD_SERVER_RPC_SERVER_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "proto/grpc/immediate_completion.h"
#include "server/policy/authorizer.h"
#include "server/rpc/call_identity.h"
#include "server/rpc/live_calls.h"
#include "server/rpc/tag.h"

namespace transportd {

// Lives as long as an operation is under way or somebody holds it. At most one Read, one Write and one Finish (or
// WriteAndFinish) at a time; nothing is begun after a Finish but what was begun before still comes back. Dropping a
// call without a Finish is allowed only when it is over.
// Threading: operations from any thread, but one kind from one thread at a time; completions on the thread of the
// call's completion queue.
class ServerCall final : public std::enable_shared_from_this<ServerCall> {
 public:
  using Completion = Tag::Completion;

  // Asks gRPC for one call. `arrived` is called once, on the queue's thread: with the call, or with null when the
  // server shuts down. `live_calls` and `identity` outlive the call.
  static void Request(grpc::AsyncGenericService& service, grpc::ServerCompletionQueue& queue, LiveCalls& live_calls,
                      const CallIdentity& identity, absl::AnyInvocable<void(std::shared_ptr<ServerCall>)> arrived);

  ServerCall(grpc::ServerCompletionQueue& queue, LiveCalls& live_calls, const CallIdentity& identity);
  ~ServerCall();
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  // `/transportd.v1.EventLoop/Session`.
  const std::string& path() const { return context_.method(); }
  // Who calls: asked of the server's identifier, each time. UNAUTHENTICATED / NO_PRINCIPAL, INVALID_CREDENTIALS.
  absl::StatusOr<Caller> Identify() const;
  // That anybody may make it: see CallIdentity::Note.
  void NoteIdentity() const;

  // The client's next message; !ok: it sends no more, or the call is broken.
  void Read(Completion completion);
  // What the last Read brought; the next Read overwrites it.
  grpc::ByteBuffer& message() { return message_; }

  // ok: gRPC has taken the message past flow control, and takes the next. !ok: the call is broken.
  void Write(const grpc::ByteBuffer& message, Completion completion);
  // The same. But when it is over at once, as most writes are, this returns what `completion`, which is then destroyed
  // uncalled, would have been told, and the queue's thread is not woken.
  [[nodiscard]] std::optional<bool> WriteNow(const grpc::ByteBuffer& message, Completion completion);
  void WriteAndFinish(const grpc::ByteBuffer& message, const grpc::Status& status);
  void Finish(const grpc::Status& status);

  // `over` is called once, when the call is over: its status went out, or (`cancelled`) it never can: the client gave
  // up or is gone, or the deadline passed. On the queue's thread; inside this call when it is over already.
  // Replaces the one set before. Queue thread only.
  void OnOver(absl::AnyInvocable<void(bool cancelled)> over);

  // Cancels the call then, unless StopCancelTimer was called. Once in a call's life.
  void CancelIn(std::chrono::milliseconds delay);
  void StopCancelTimer() { cancel_alarm_.Cancel(); }

 private:
  void HandleDone();

  grpc::ServerCompletionQueue& queue_;
  LiveCalls& live_calls_;
  const CallIdentity& identity_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  grpc::ByteBuffer message_;
  grpc::Alarm cancel_alarm_;
  Tag arrival_tag_, done_tag_, read_tag_, write_tag_, finish_tag_, alarm_tag_;

  // Queue thread only.
  bool over_ = false;
  bool cancelled_ = false;
  absl::AnyInvocable<void(bool cancelled)> on_over_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_SERVER_CALL_H_
