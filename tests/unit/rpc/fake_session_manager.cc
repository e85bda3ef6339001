#include "tests/unit/rpc/fake_session_manager.h"

#include <utility>

#include "server/session/convert.h"
#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

constexpr size_t kFloodFrameBytes = 64 * 1024;

}  // namespace

// On the loop's thread, but for construction.
class FakeSessionManager::Session final : public FrameStream::Handler, public std::enable_shared_from_this<Session> {
 public:
  Session(FakeSessionManager& manager, std::shared_ptr<FrameStream> stream, Behaviour behaviour, bool reads)
      : manager_(manager), stream_(std::move(stream)), behaviour_(behaviour), reads_(reads) {}

  void Begin() {
    if (reads_) stream_->ReadFrame();
    if (behaviour_ == Behaviour::kFlood || !reads_) Send(std::string(reads_ ? kFloodFrameBytes : 3, 'x'));
  }

  void OnFrame(std::span<const std::string_view> pieces) override {
    CHECK(!over_);
    std::string bytes;
    for (const std::string_view piece : pieces) bytes += piece;
    if (bytes == "finish") return Finish(MakeError(absl::StatusCode::kFailedPrecondition, "ASKED_FOR", "as asked"));
    if (behaviour_ == Behaviour::kEcho) {
      Send(bytes);
      if (bytes == "finish after") return Finish(absl::OkStatus());
    } else {
      stream_->ReadFrame();
    }
  }

  void OnHalfClosed() override {
    CHECK(!over_);
    {
      MutexLock lock(manager_.mutex_);
      ++manager_.half_closed_count_;
      CountThread();
    }
    if (reads_) Finish(absl::OkStatus());
  }

  void OnFrameSent() override {
    CHECK(!over_);
    if (behaviour_ == Behaviour::kFlood) {
      Send(std::string(kFloodFrameBytes, 'x'));
    } else if (reads_) {
      stream_->ReadFrame();
    }
  }

  void OnLost() override {
    CHECK(!std::exchange(over_, true));
    {
      MutexLock lock(manager_.mutex_);
      ++manager_.lost_count_;
      CountThread();
    }
    manager_.End(shared_from_this());
  }

 private:
  void CountThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(manager_.mutex_) {
    if (std::this_thread::get_id() != manager_.thread_.get_id()) ++manager_.ended_elsewhere_count_;
  }
  void Send(const std::string& bytes) { stream_->SendFrame(FrameBuffer(bytes)); }

  void Finish(absl::Status status) {
    over_ = true;
    stream_->Finish(std::move(status));
    manager_.End(shared_from_this());
  }

  FakeSessionManager& manager_;
  const std::shared_ptr<FrameStream> stream_;
  const Behaviour behaviour_;
  const bool reads_;
  bool over_ = false;
};

FakeSessionManager::FakeSessionManager() {
  auto loop = EpollEventLoop::Create();
  CHECK(loop.ok());
  loop_ = *std::move(loop);
  thread_ = std::thread([this] { loop_->RunForever(); });
}

FakeSessionManager::~FakeSessionManager() {
  loop_->Stop();
  thread_.join();
}

void FakeSessionManager::SetBehaviour(Behaviour behaviour) {
  MutexLock lock(mutex_);
  behaviour_ = behaviour;
}

void FakeSessionManager::SetReply(std::function<v1::Reply(const v1::Command&)> reply) {
  MutexLock lock(mutex_);
  reply_ = std::move(reply);
}

std::vector<v1::Command> FakeSessionManager::TakeCommands() {
  MutexLock lock(mutex_);
  return std::exchange(commands_, {});
}

std::vector<std::string> FakeSessionManager::TakeCalls() {
  MutexLock lock(mutex_);
  return std::exchange(calls_, {});
}

std::vector<Caller> FakeSessionManager::callers() {
  MutexLock lock(mutex_);
  return callers_;
}

void FakeSessionManager::WaitForNoSession() {
  MutexLock lock(mutex_);
  while (!sessions_.empty()) changed_.Wait(mutex_);
}

void FakeSessionManager::WaitForOpened(int count) {
  MutexLock lock(mutex_);
  while (opened_count_ < count) changed_.Wait(mutex_);
}

int FakeSessionManager::lost_count() {
  MutexLock lock(mutex_);
  return lost_count_;
}

int FakeSessionManager::ended_elsewhere_count() {
  MutexLock lock(mutex_);
  return ended_elsewhere_count_;
}

int FakeSessionManager::half_closed_count() {
  MutexLock lock(mutex_);
  return half_closed_count_;
}

void FakeSessionManager::Record(const char* call, const Caller& caller) {
  MutexLock lock(mutex_);
  calls_.push_back(call);
  callers_.push_back(caller);
}

void FakeSessionManager::Begin(std::shared_ptr<FrameStream> stream, bool reads) {
  Behaviour behaviour;
  {
    MutexLock lock(mutex_);
    behaviour = behaviour_;
    ++opened_count_;
    changed_.SignalAll();
  }
  if (behaviour == Behaviour::kRefuse) {
    stream->Finish(MakeError(absl::StatusCode::kUnavailable, "SERVICE_STOPPING", "the service is stopping"));
    return;
  }
  auto session = std::make_shared<Session>(*this, stream, behaviour, reads);
  {
    MutexLock lock(mutex_);
    sessions_.insert(session);
  }
  stream->Start(loop_->reactor(), session);
  loop_->CallSoonThreadsafe([weak = std::weak_ptr<Session>(session)] {
    if (auto alive = weak.lock()) alive->Begin();
  });
}

void FakeSessionManager::End(const std::shared_ptr<Session>& session) {
  MutexLock lock(mutex_);
  sessions_.erase(session);
  changed_.SignalAll();
}

void FakeSessionManager::OpenStreaming(Caller caller, std::shared_ptr<FrameStream> stream) {
  Record("OpenStreaming", caller);
  Begin(std::move(stream), /*reads=*/true);
}

void FakeSessionManager::AttachCallbacks(Caller caller, v1::CallbacksRequest request,
                                         std::shared_ptr<FrameStream> stream) {
  Record("AttachCallbacks", caller);
  if (request.session_id() == "unknown") {
    stream->Finish(MakeError(absl::StatusCode::kNotFound, "UNKNOWN_SESSION", "there is no such session"));
    return;
  }
  Begin(std::move(stream), /*reads=*/false);
}

absl::AnyInvocable<void()> FakeSessionManager::Execute(Caller caller, v1::Command command,
                                                       absl::AnyInvocable<void(v1::Reply)> done) {
  Record("Execute", caller);
  std::function<v1::Reply(const v1::Command&)> reply;
  {
    MutexLock lock(mutex_);
    commands_.push_back(command);
    reply = reply_;
    ++opened_count_;
    changed_.SignalAll();
  }
  if (reply != nullptr) {
    loop_->CallSoonThreadsafe(
        [reply, command = std::move(command), done = std::move(done)]() mutable { done(reply(command)); });
    return [] {};
  }
  return [this, done = std::move(done)]() mutable {
    v1::Reply cancelled;
    *cancelled.mutable_error() = ErrorProto(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"));
    done(cancelled);
    MutexLock lock(mutex_);
    ++lost_count_;
    changed_.SignalAll();
  };
}

void FakeSessionManager::OpenSession(Caller caller, v1::OpenSessionRequest /*request*/,
                                     absl::AnyInvocable<void(absl::StatusOr<v1::OpenSessionResponse>)> done) {
  Record("OpenSession", caller);
  v1::OpenSessionResponse response;
  response.mutable_opened()->set_session_id("session");
  done(response);
}

void FakeSessionManager::CloseSession(Caller caller, v1::CloseSessionRequest /*request*/,
                                      absl::AnyInvocable<void(absl::StatusOr<v1::CloseSessionResponse>)> done) {
  Record("CloseSession", caller);
  done(v1::CloseSessionResponse());
}

void FakeSessionManager::ListSessions(Caller caller, v1::ListSessionsRequest /*request*/,
                                      absl::AnyInvocable<void(absl::StatusOr<v1::ListSessionsResponse>)> done) {
  Record("ListSessions", caller);
  done(v1::ListSessionsResponse());
}

void FakeSessionManager::ListTransports(Caller caller, v1::ListTransportsRequest /*request*/,
                                        absl::AnyInvocable<void(absl::StatusOr<v1::ListTransportsResponse>)> done) {
  Record("ListTransports", caller);
  done(v1::ListTransportsResponse());
}

void FakeSessionManager::GetStatus(Caller caller, v1::GetStatusRequest /*request*/,
                                   absl::AnyInvocable<void(absl::StatusOr<v1::GetStatusResponse>)> done) {
  Record("GetStatus", caller);
  done(v1::GetStatusResponse());
}

void FakeSessionManager::EndTransport(Caller caller, v1::EndTransportRequest /*request*/,
                                      absl::AnyInvocable<void(absl::StatusOr<v1::EndTransportResponse>)> done) {
  Record("EndTransport", caller);
  done(v1::EndTransportResponse());
}

void FakeSessionManager::EndSession(Caller caller, v1::EndSessionRequest /*request*/,
                                    absl::AnyInvocable<void(absl::StatusOr<v1::EndSessionResponse>)> done) {
  Record("EndSession", caller);
  done(v1::EndSessionResponse());
}

}  // namespace transportd
