// The Session and Callbacks streams of gRPC, as the FrameStream that a session speaks to.
#ifndef TRANSPORTD_SERVER_RPC_SESSION_STREAM_H_
#define TRANSPORTD_SERVER_RPC_SESSION_STREAM_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "proto/grpc/frame_message.h"
#include "server/rpc/server_call.h"
#include "server/session/frame_stream.h"
#include "transports/base/mutex.h"

namespace transportd {

// An adapter, without a wish of its own: it begins operations on the session's loop, and posts each completion there.
//
// Where a status comes from is decided once, in End: by the session's Finish, or by a frame that is too large. A frame
// that is under way goes out before; a client that does not take it within 10 s is cut off.
//
// Held by the session, by every operation that is under way, and by the call until it is over.
// Threading: see FrameStream; completions arrive on the thread of the call's completion queue.
class SessionStream final : public FrameStream, public std::enable_shared_from_this<SessionStream> {
 public:
  // On the thread of the call's queue. A frame of more than `max_frame_bytes` ends the stream:
  // RESOURCE_EXHAUSTED / FRAME_TOO_LARGE; the handler hears OnLost.
  static std::shared_ptr<SessionStream> Make(std::shared_ptr<ServerCall> call, uint64_t max_frame_bytes);

  SessionStream(std::shared_ptr<ServerCall> call, uint64_t max_frame_bytes)
      : call_(std::move(call)), max_frame_bytes_(max_frame_bytes) {}

  // FrameStream
  void Start(Reactor& reactor, std::weak_ptr<Handler> handler) override;
  void ReadFrame() override;
  void SendFrame(FrameBuffer frame) override;
  void Finish(absl::Status status) override;

 private:
  // On the queue's thread.
  void HandleRead(bool ok);
  void HandleWritten(bool ok);
  // The write is over. True: the stream goes on.
  bool EndWrite(bool ok);
  void HandleOver();

  // On the loop's thread.
  void DeliverFrame();
  void DeliverHalfClosed();
  void DeliverFrameSent();
  void DeliverLost();

  void End(grpc::Status status);
  // Calls it on the loop's thread, which this one may become for a turn: worth it for what is done soon.
  template <void (SessionStream::*kDeliver)()>
  void Post(bool is_short = false);

  const std::shared_ptr<ServerCall> call_;
  const uint64_t max_frame_bytes_;

  // The loop's thread, once started.
  std::weak_ptr<Handler> handler_;

  // Handed from the completion of a read to the loop; one read at a time.
  FrameMessage frame_;

  Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;                          // A status was decided.
  bool over_ ABSL_GUARDED_BY(mutex_) = false;                           // The call is over.
  std::optional<grpc::Status> waiting_status_ ABSL_GUARDED_BY(mutex_);  // For the write that is under way.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_SESSION_STREAM_H_
