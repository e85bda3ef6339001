#include "server/rpc/session_stream.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "server/rpc/grpc_status.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// How long a client may take to accept the last frame before its status.
constexpr std::chrono::seconds kLastFrameTimeout(10);
// A frame of up to this size, a few small writes, is carried out sooner than another thread wakes. With more, answers
// come while it is carried out, and the loop's thread would wake for nothing.
constexpr size_t kShortFrameBytes = 512;

}  // namespace

std::shared_ptr<SessionStream> SessionStream::Make(std::shared_ptr<ServerCall> call, uint64_t max_frame_bytes) {
  auto stream = std::make_shared<SessionStream>(call, max_frame_bytes);
  call->OnOver([stream](bool) { stream->HandleOver(); });
  return stream;
}

void SessionStream::Start(Reactor& reactor, std::weak_ptr<Handler> handler) {
  handler_ = std::move(handler);
  bool over = false;
  {
    MutexLock lock(mutex_);
    CHECK(reactor_ == nullptr && !ended_);
    reactor_ = &reactor;
    over = over_;
  }
  if (over) Post<&SessionStream::DeliverLost>();
}

void SessionStream::ReadFrame() {
  call_->Read([self = shared_from_this()](bool ok) { self->HandleRead(ok); });
}

void SessionStream::SendFrame(FrameBuffer frame) {
  {
    MutexLock lock(mutex_);
    CHECK(!writing_);
    if (ended_) return;  // A frame that was too large ended the stream; OnLost is on its way.
    writing_ = true;
  }
  const std::optional<bool> written = call_->WriteNow(
      ToByteBuffer(std::move(frame)), [self = shared_from_this()](bool ok) { self->HandleWritten(ok); });
  if (!written.has_value() || !EndWrite(*written)) return;
  Reactor* reactor = nullptr;
  {
    MutexLock lock(mutex_);
    reactor = reactor_;
  }
  reactor->AtTurnEnd([self = shared_from_this()] { self->DeliverFrameSent(); });
}

void SessionStream::Finish(absl::Status status) {
  handler_.reset();
  End(ToGrpcStatus(status));
}

void SessionStream::End(grpc::Status status) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(ended_, true)) return;
    if (writing_) {
      waiting_status_ = std::move(status);
      call_->CancelIn(kLastFrameTimeout);
      return;
    }
  }
  call_->Finish(status);
}

void SessionStream::HandleRead(bool ok) {
  if (!ok) {
    Post<&SessionStream::DeliverHalfClosed>();
    return;
  }
  const size_t size_bytes = call_->message().Length();
  if (size_bytes > max_frame_bytes_) {
    call_->message().Clear();
    End(ToGrpcStatus(MakeError(absl::StatusCode::kResourceExhausted, "FRAME_TOO_LARGE",
                               StrCat("a frame of ", size_bytes, " bytes; at most ", max_frame_bytes_,
                                      " are read (Limits.max_client_frame_bytes)"))));
    Post<&SessionStream::DeliverLost>();
    return;
  }
  frame_.Take(call_->message());
  Post<&SessionStream::DeliverFrame>(/*is_short=*/size_bytes <= kShortFrameBytes);
}

void SessionStream::HandleWritten(bool ok) {
  if (EndWrite(ok)) Post<&SessionStream::DeliverFrameSent>(/*is_short=*/true);
}

bool SessionStream::EndWrite(bool ok) {
  std::optional<grpc::Status> status;
  {
    MutexLock lock(mutex_);
    writing_ = false;
    status = std::exchange(waiting_status_, std::nullopt);
  }
  if (status) {
    call_->StopCancelTimer();
    call_->Finish(*status);
    return false;
  }
  return ok;  // Else the call is about to be over, and the handler hears OnLost.
}

void SessionStream::HandleOver() {
  {
    MutexLock lock(mutex_);
    over_ = true;
    if (ended_ || reactor_ == nullptr) return;
  }
  Post<&SessionStream::DeliverLost>();
}

void SessionStream::DeliverFrame() {
  // The handler may ask for the next frame, which comes into frame_.
  const FrameMessage frame = std::exchange(frame_, FrameMessage());
  if (auto handler = handler_.lock()) handler->OnFrame(frame.pieces());
}

void SessionStream::DeliverHalfClosed() {
  {
    // A call that breaks fails its read too, usually first; where the difference can be told, it is.
    MutexLock lock(mutex_);
    if (over_) return;
  }
  if (auto handler = handler_.lock()) handler->OnHalfClosed();
}

void SessionStream::DeliverFrameSent() {
  if (auto handler = handler_.lock()) handler->OnFrameSent();
}

void SessionStream::DeliverLost() {
  if (auto handler = std::exchange(handler_, {}).lock()) handler->OnLost();
}

template <void (SessionStream::*kDeliver)()>
void SessionStream::Post(bool is_short) {
  Reactor* reactor = nullptr;
  {
    MutexLock lock(mutex_);
    // What comes after the status is nobody's; the loop may be gone then.
    if (ended_ && kDeliver != &SessionStream::DeliverLost) return;
    reactor = reactor_;
  }
  auto deliver = [self = shared_from_this()] { ((*self).*kDeliver)(); };
  if (is_short) {
    reactor->CallNowThreadsafe(std::move(deliver));
  } else {
    reactor->CallSoonThreadsafe(std::move(deliver));
  }
}

}  // namespace transportd
