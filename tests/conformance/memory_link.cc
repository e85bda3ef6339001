#include "tests/conformance/memory_link.h"

#include <optional>
#include <string>
#include <utility>

#include "tests/support/frame_pieces.h"
#include "transports/base/check.h"
#include "transports/base/mutex.h"

namespace transportd {
namespace {

// The wire. Calls to a side are posted to its loop while the lock is held: that keeps their order, and a side that left
// is posted nothing. shared_ptr: owned by both ends and by what is posted. Threading: any thread.
class Wire final : public std::enable_shared_from_this<Wire> {
 public:
  // --- The client's end.
  void StartClient(Reactor& reactor, std::weak_ptr<FrameChannel::Handler> handler) {
    MutexLock lock(mutex_);
    reactor_ = &reactor;
    client_ = std::move(handler);
    if (finished_) PostClosed(finish_status_);
  }

  void ClientSends(FrameBuffer frame) {
    MutexLock lock(mutex_);
    CHECK(!to_service_.has_value());
    to_service_ = std::move(frame);
    HandToService();
  }

  void ClientHalfCloses() {
    MutexLock lock(mutex_);
    half_closed_ = true;
    HandToService();
  }

  void ClientLeaves() {
    MutexLock lock(mutex_);
    reactor_ = nullptr;
    client_.reset();
    // What the service still says is lost on the way; it may go on saying it.
    if (!half_closed_) PostLost();
    if (service_is_sending_) PostServiceSent();
  }

  // --- The service's end.
  void StartService(Reactor& loop, std::weak_ptr<FrameStream::Handler> handler) {
    MutexLock lock(mutex_);
    loop_ = &loop;
    service_ = std::move(handler);
    if (lost_) PostLost();
  }

  void ServiceReads() {
    MutexLock lock(mutex_);
    CHECK(!service_is_reading_);
    service_is_reading_ = true;
    HandToService();
  }

  void ServiceSends(FrameBuffer frame) {
    MutexLock lock(mutex_);
    CHECK(!service_is_sending_);
    service_is_sending_ = true;
    if (reactor_ == nullptr) return PostServiceSent();
    // Copied: the reactor's queue may outlive this wire's ends.
    reactor_->CallSoonThreadsafe([self = shared_from_this(), bytes = std::string(frame.view())] {
      if (const auto client = self->GetClient(); client != nullptr) client->OnFrame(self->client_cutter_.Cut(bytes));
      MutexLock inner(self->mutex_);
      if (self->reactor_ != nullptr && self->service_is_sending_) self->PostServiceSent();
    });
  }

  void ServiceFinishes(absl::Status status) {
    MutexLock lock(mutex_);
    if (finished_) return;
    finished_ = true;
    finish_status_ = std::move(status);
    loop_ = nullptr;
    service_.reset();
    if (reactor_ != nullptr) PostClosed(finish_status_);
    // Nobody will read it; a stream that has ended takes no more.
    to_service_.reset();
  }

  // --- The network.
  void Break(absl::Status status) {
    MutexLock lock(mutex_);
    PostLost();
    if (finished_) return;
    finished_ = true;
    finish_status_ = std::move(status);
    if (reactor_ != nullptr) PostClosed(finish_status_);
  }

 private:
  std::shared_ptr<FrameChannel::Handler> GetClient() {
    MutexLock lock(mutex_);
    return client_.lock();
  }
  std::shared_ptr<FrameStream::Handler> GetService() {
    MutexLock lock(mutex_);
    return service_.lock();
  }

  void HandToService() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!service_is_reading_ || loop_ == nullptr) return;
    if (to_service_.has_value()) {
      service_is_reading_ = false;
      loop_->CallSoonThreadsafe([self = shared_from_this(), bytes = std::string(to_service_->view())] {
        if (const auto service = self->GetService(); service != nullptr)
          service->OnFrame(self->service_cutter_.Cut(bytes));
      });
      to_service_.reset();
      if (reactor_ == nullptr) return;
      reactor_->CallSoonThreadsafe([self = shared_from_this()] {
        if (const auto client = self->GetClient(); client != nullptr) client->OnFrameSent();
      });
    } else if (half_closed_) {
      service_is_reading_ = false;
      loop_->CallSoonThreadsafe([self = shared_from_this()] {
        if (const auto service = self->GetService(); service != nullptr) service->OnHalfClosed();
      });
    }
  }

  void PostServiceSent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    service_is_sending_ = false;
    if (loop_ == nullptr) return;
    loop_->CallSoonThreadsafe([self = shared_from_this()] {
      if (const auto service = self->GetService(); service != nullptr) service->OnFrameSent();
    });
  }

  void PostLost() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    lost_ = true;
    if (loop_ == nullptr) return;
    // Called after it, nothing reaches the service any more.
    loop_->CallSoonThreadsafe([service = std::exchange(service_, {})] {
      if (const auto handler = service.lock(); handler != nullptr) handler->OnLost();
    });
    loop_ = nullptr;
  }

  void PostClosed(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    reactor_->CallSoonThreadsafe([self = shared_from_this(), status] {
      if (const auto client = self->GetClient(); client != nullptr) client->OnClosed(status);
    });
  }

  Mutex mutex_;
  // Null: not started, or left.
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::weak_ptr<FrameChannel::Handler> client_ ABSL_GUARDED_BY(mutex_);
  Reactor* loop_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::weak_ptr<FrameStream::Handler> service_ ABSL_GUARDED_BY(mutex_);
  std::optional<FrameBuffer> to_service_ ABSL_GUARDED_BY(mutex_);
  bool service_is_reading_ ABSL_GUARDED_BY(mutex_) = false;
  FrameCutter client_cutter_;   // The client's thread.
  FrameCutter service_cutter_;  // The service's loop.
  bool service_is_sending_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status finish_status_ ABSL_GUARDED_BY(mutex_);
};

// Threading: as FrameChannel.
class MemoryChannel final : public FrameChannel {
 public:
  explicit MemoryChannel(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  ~MemoryChannel() override { wire_->ClientLeaves(); }
  void Start(Reactor& reactor, std::weak_ptr<Handler> handler) override {
    wire_->StartClient(reactor, std::move(handler));
  }
  void SendFrame(FrameBuffer frame) override { wire_->ClientSends(std::move(frame)); }
  void HalfClose() override { wire_->ClientHalfCloses(); }

 private:
  const std::shared_ptr<Wire> wire_;
};

// Threading: as FrameStream.
class MemoryStream final : public FrameStream {
 public:
  explicit MemoryStream(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  void Start(Reactor& loop, std::weak_ptr<Handler> handler) override { wire_->StartService(loop, std::move(handler)); }
  void ReadFrame() override { wire_->ServiceReads(); }
  void SendFrame(FrameBuffer frame) override { wire_->ServiceSends(std::move(frame)); }
  void Finish(absl::Status status) override { wire_->ServiceFinishes(std::move(status)); }

 private:
  const std::shared_ptr<Wire> wire_;
};

}  // namespace

MemoryLink MakeMemoryLink() {
  auto wire = std::make_shared<Wire>();
  return {.channel = std::make_unique<MemoryChannel>(wire),
          .stream = std::make_shared<MemoryStream>(wire),
          .break_link = [wire](absl::Status status) { wire->Break(std::move(status)); }};
}

}  // namespace transportd
