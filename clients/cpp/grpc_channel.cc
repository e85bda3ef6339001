#include "clients/cpp/grpc_channel.h"

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include "clients/cpp/grpc_status.h"
#include "clients/cpp/queue_sleeper.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "proto/grpc/frame_message.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

constexpr char kSessionMethod[] = "/transportd.v1.EventLoop/Session";
// How long the destructor waits for the service to end the session in order.
constexpr std::chrono::milliseconds kLingerTime{1000};

// Threading: loop thread only.
class GrpcFrameChannel final : public FrameChannel {
 public:
  GrpcFrameChannel(std::shared_ptr<grpc::Channel> channel, const std::string& token) : stub_(std::move(channel)) {
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
  }
  ~GrpcFrameChannel() override {
    if (sleeper_.has_value()) Destroy();
  }

  // FrameChannel
  void Start(Reactor& reactor, std::weak_ptr<Handler> handler) override {
    reactor_ = &reactor;
    handler_ = std::move(handler);
    sleeper_.emplace(reactor, [this](const GrpcCompletion& completion) { OnCompletion(completion); });
    reactor.SetSleeper(&*sleeper_);
    stream_ = stub_.PrepareCall(&context_, kSessionMethod, &sleeper_->queue());
    stream_->StartCall(ToTag(Operation::kStart));
  }
  void SendFrame(FrameBuffer frame) override {
    CHECK(!frame_.has_value());
    frame_ = ToByteBuffer(std::move(frame));
    WriteWhatIsDue();
  }
  void HalfClose() override {
    wants_half_close_ = true;
    WriteWhatIsDue();
  }

 private:
  enum class Operation : intptr_t { kStart = 1, kRead, kWrite, kWritesDone, kFinish, kLinger };

  static void* ToTag(Operation operation) { return reinterpret_cast<void*>(operation); }

  // Waits until gRPC is done with the stream, and calls nobody.
  void Destroy() {
    reactor_->SetSleeper(nullptr);
    sleeper_->Leave();
    handler_.reset();
    reactor_ = nullptr;
    if (!wants_half_close_) context_.TryCancel();
    if (!is_finished_) {
      linger_.Set(&sleeper_->queue(), std::chrono::system_clock::now() + kLingerTime, ToTag(Operation::kLinger));
    }
    if (read_is_due_) Read();
    while (!is_finished_) {
      if (taken_.has_value()) {
        OnTaken();
      } else {
        CHECK(sleeper_->DrainOne());
      }
    }
    linger_.Cancel();
    sleeper_.reset();
  }

  void OnCompletion(const GrpcCompletion& completion) {
    switch (static_cast<Operation>(reinterpret_cast<intptr_t>(completion.tag))) {
      case Operation::kStart:
        is_up_ = completion.ok;
        if (!is_up_) return Finish();
        WriteWhatIsDue();
        return Read();
      case Operation::kRead:
        if (!completion.ok) return Finish();
        DeliverFrame();
        return ReadLater();
      case Operation::kWrite:
        return OnWritten(completion.ok);
      case Operation::kWritesDone:
        is_writing_ = false;
        return;
      case Operation::kFinish:
        is_finished_ = true;
        if (const auto handler = handler_.lock(); handler != nullptr) handler->OnClosed(FromGrpcStatus(status_));
        return;
      case Operation::kLinger:
        if (!is_finished_) context_.TryCancel();
        return;
    }
  }

  void OnTaken() {
    if (const auto completion = std::exchange(taken_, std::nullopt)) OnCompletion(*completion);
  }

  // When the stream breaks, reading ends, too, and says so.
  void OnWritten(bool ok) {
    is_writing_ = false;
    frame_.reset();
    if (!ok) return;
    WriteWhatIsDue();
    if (const auto handler = handler_.lock(); handler != nullptr) handler->OnFrameSent();
  }

  void Read() {
    read_is_due_ = false;
    stream_->Read(&received_, ToTag(Operation::kRead));
  }

  // After what is written in this turn: gRPC tells the service with a frame that is written anyway, or else with a
  // packet of its own, that it may send more.
  void ReadLater() {
    if (reactor_ == nullptr) return Read();
    read_is_due_ = true;
    // Twice, as FrameOutbox does.
    reactor_->AtTurnEnd([&reactor = *reactor_, weak = std::weak_ptr(self_)] {
      reactor.AtTurnEnd([weak] {
        if (const auto self = weak.lock(); self != nullptr && (*self)->read_is_due_) (*self)->Read();
      });
    });
  }

  void WriteWhatIsDue() {
    if (!is_up_ || is_writing_ || is_ended_ || half_closed_) return;
    if (frame_.has_value()) {
      is_writing_ = true;
      taken_ = BeginAndTakeCompletion(sleeper_->queue(), [this] { stream_->Write(*frame_, ToTag(Operation::kWrite)); });
      if (!taken_.has_value() || reactor_ == nullptr) return;
      // Not from inside SendFrame.
      reactor_->AtTurnEnd([weak = std::weak_ptr(self_)] {
        if (const auto self = weak.lock(); self != nullptr) (*self)->OnTaken();
      });
    } else if (wants_half_close_) {
      is_writing_ = true;
      half_closed_ = true;
      stream_->WritesDone(ToTag(Operation::kWritesDone));
    }
  }

  void Finish() {
    is_ended_ = true;
    stream_->Finish(&status_, ToTag(Operation::kFinish));
  }

  void DeliverFrame() {
    const auto handler = handler_.lock();
    if (handler == nullptr) return;
    FrameMessage frame;
    frame.Take(received_);
    handler->OnFrame(frame.pieces());
  }

  // For what the reactor calls later, when the channel may be gone. Shared with nobody else.
  const std::shared_ptr<GrpcFrameChannel*> self_ = std::make_shared<GrpcFrameChannel*>(this);
  Reactor* reactor_ = nullptr;
  std::weak_ptr<Handler> handler_;
  bool is_up_ = false;
  bool read_is_due_ = false;
  bool is_writing_ = false;
  bool wants_half_close_ = false;
  bool half_closed_ = false;
  bool is_ended_ = false;     // Finish was asked for.
  bool is_finished_ = false;  // Finish has answered.

  std::optional<grpc::ByteBuffer> frame_;  // What waits to be written, or is.
  std::optional<GrpcCompletion> taken_;    // Of an operation that was over at once.
  grpc::ByteBuffer received_;
  grpc::Status status_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  std::optional<QueueSleeper> sleeper_;
  grpc::Alarm linger_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

}  // namespace

std::unique_ptr<FrameChannel> CreateGrpcFrameChannel(std::shared_ptr<grpc::Channel> channel, const std::string& token) {
  return std::make_unique<GrpcFrameChannel>(std::move(channel), token);
}

}  // namespace transportd
