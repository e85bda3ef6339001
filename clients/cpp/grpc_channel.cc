#include "clients/cpp/grpc_channel.h"

#include <chrono>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

#include "clients/cpp/grpc_status.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "transports/base/check.h"
#include "transports/base/mutex.h"

namespace transportd {
namespace {

constexpr char kSessionMethod[] = "/transportd.v1.EventLoop/Session";
// How long the destructor waits for the service to end the session in order.
constexpr std::chrono::milliseconds kLingerTime{1000};

grpc::ByteBuffer ToByteBuffer(FrameBuffer frame) {
  const size_t size_bytes = frame.size();
  grpc::Slice slice(frame.Release(), size_bytes, [](void* bytes) { std::free(bytes); });
  return grpc::ByteBuffer(&slice, 1);
}

// The stream, and what is on its way. The queue's thread takes completions; while the handler listens it posts them to
// the loop, which does the rest; once the channel is being destroyed it ends the stream by itself. shared_ptr: owned by
// the channel, and by what the thread has posted. Threading: any thread, through `mutex_`.
class SessionCall final : public std::enable_shared_from_this<SessionCall> {
 public:
  enum class Tag : intptr_t { kStart = 1, kRead, kWrite, kWritesDone, kFinish, kLinger };

  SessionCall(std::shared_ptr<grpc::Channel> channel, const std::string& token) : stub_(std::move(channel)) {
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
    stream_ = stub_.PrepareCall(&context_, kSessionMethod, &queue_);
  }

  void Start(Reactor& reactor, std::weak_ptr<FrameChannel::Handler> handler) {
    {
      MutexLock lock(mutex_);
      reactor_ = &reactor;
      handler_ = std::move(handler);
      is_started_ = true;
      stream_->StartCall(ToTag(Tag::kStart));
    }
    thread_ = std::thread([this] { Run(); });
  }

  void SendFrame(FrameBuffer frame) {
    MutexLock lock(mutex_);
    CHECK(!has_frame_);
    has_frame_ = true;
    frame_ = ToByteBuffer(std::move(frame));
    WriteWhatIsDue();
  }

  void HalfClose() {
    MutexLock lock(mutex_);
    wants_half_close_ = true;
    WriteWhatIsDue();
  }

  // No call of the handler comes after it; waits until gRPC is done with the stream.
  void Destroy() {
    {
      MutexLock lock(mutex_);
      handler_.reset();
      reactor_ = nullptr;
      is_destroyed_ = true;
      if (!is_started_) {
        queue_.Shutdown();
      } else {
        if (!wants_half_close_) context_.TryCancel();
        if (!is_finished_) {
          linger_.Set(&queue_, std::chrono::system_clock::now() + kLingerTime, ToTag(Tag::kLinger));
          linger_is_set_ = true;
        }
        // The loop, which asks for the next frame otherwise, will not come any more.
        if (is_up_ && !is_reading_ && !is_ended_) Read();
      }
    }
    if (thread_.joinable()) thread_.join();
    // What never ran still has to be taken out.
    void* tag = nullptr;
    bool ok = false;
    while (!is_started_ && queue_.Next(&tag, &ok)) {
    }
  }

 private:
  static void* ToTag(Tag tag) { return reinterpret_cast<void*>(tag); }

  void Run() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) OnCompletion(static_cast<Tag>(reinterpret_cast<intptr_t>(tag)), ok);
  }

  void OnCompletion(Tag tag, bool ok) {
    MutexLock lock(mutex_);
    switch (tag) {
      case Tag::kStart:
        is_up_ = ok;
        if (!ok) return End();
        WriteWhatIsDue();
        return Read();
      case Tag::kRead:
        is_reading_ = false;
        if (!ok) return End();
        if (is_destroyed_) return Read();
        return Post([](SessionCall& call) { call.DeliverFrame(); });
      case Tag::kWrite:
        is_writing_ = false;
        has_frame_ = false;
        if (!ok) return;  // The stream is broken: reading ends, too, and says so.
        WriteWhatIsDue();
        if (!is_destroyed_)
          Post([](SessionCall& call) {
            if (const auto handler = call.GetHandler(); handler != nullptr) handler->OnFrameSent();
          });
        return;
      case Tag::kWritesDone:
        is_writing_ = false;
        return;
      case Tag::kFinish:
        is_finished_ = true;
        if (linger_is_set_) linger_.Cancel();
        if (!is_destroyed_) {
          Post([](SessionCall& call) {
            if (const auto handler = call.GetHandler(); handler != nullptr) handler->OnClosed(call.FinalStatus());
          });
        }
        queue_.Shutdown();
        return;
      case Tag::kLinger:
        if (!is_finished_) context_.TryCancel();
        return;
    }
  }

  // To the loop, with a call that is still alive then.
  void Post(absl::AnyInvocable<void(SessionCall&)> action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    reactor_->CallSoonThreadsafe([self = shared_from_this(), action = std::move(action)]() mutable { action(*self); });
  }

  void Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    is_reading_ = true;
    stream_->Read(&received_, ToTag(Tag::kRead));
  }

  void WriteWhatIsDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!is_up_ || is_writing_ || is_ended_ || half_closed_) return;
    if (has_frame_) {
      is_writing_ = true;
      stream_->Write(frame_, ToTag(Tag::kWrite));
    } else if (wants_half_close_) {
      is_writing_ = true;
      half_closed_ = true;
      stream_->WritesDone(ToTag(Tag::kWritesDone));
    }
  }

  void End() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    is_ended_ = true;
    stream_->Finish(&status_, ToTag(Tag::kFinish));
  }

  std::shared_ptr<FrameChannel::Handler> GetHandler() {
    MutexLock lock(mutex_);
    return handler_.lock();
  }

  absl::Status FinalStatus() {
    MutexLock lock(mutex_);
    return FromGrpcStatus(status_);
  }

  // On the loop's thread. Nothing is being read, so that `received_` is the loop's.
  void DeliverFrame() {
    if (const auto handler = GetHandler(); handler != nullptr) {
      grpc::Slice slice;
      if (!received_.TrySingleSlice(&slice).ok() && !received_.DumpToSingleSlice(&slice).ok()) slice = grpc::Slice();
      received_.Clear();
      handler->OnFrame({reinterpret_cast<const char*>(slice.begin()), slice.size()});
    }
    MutexLock lock(mutex_);
    if (!is_destroyed_ && !is_ended_) Read();
  }

  Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::weak_ptr<FrameChannel::Handler> handler_ ABSL_GUARDED_BY(mutex_);
  bool is_started_ = false;  // Loop thread only.
  bool is_up_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_frame_ ABSL_GUARDED_BY(mutex_) = false;
  bool wants_half_close_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_ended_ ABSL_GUARDED_BY(mutex_) = false;     // Finish was asked for.
  bool is_finished_ ABSL_GUARDED_BY(mutex_) = false;  // Finish has answered.
  bool is_destroyed_ ABSL_GUARDED_BY(mutex_) = false;
  bool linger_is_set_ ABSL_GUARDED_BY(mutex_) = false;

  // gRPC's own locks guard these; who may use which when, the flags above say.
  grpc::ByteBuffer frame_;
  grpc::ByteBuffer received_;
  grpc::Status status_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::Alarm linger_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  std::thread thread_;
};

// Threading: loop thread only.
class GrpcFrameChannel final : public FrameChannel {
 public:
  GrpcFrameChannel(std::shared_ptr<grpc::Channel> channel, const std::string& token)
      : call_(std::make_shared<SessionCall>(std::move(channel), token)) {}
  ~GrpcFrameChannel() override { call_->Destroy(); }

  // FrameChannel
  void Start(Reactor& reactor, std::weak_ptr<Handler> handler) override { call_->Start(reactor, std::move(handler)); }
  void SendFrame(FrameBuffer frame) override { call_->SendFrame(std::move(frame)); }
  void HalfClose() override { call_->HalfClose(); }

 private:
  const std::shared_ptr<SessionCall> call_;
};

}  // namespace

std::unique_ptr<FrameChannel> CreateGrpcFrameChannel(std::shared_ptr<grpc::Channel> channel, const std::string& token) {
  return std::make_unique<GrpcFrameChannel>(std::move(channel), token);
}

}  // namespace transportd
