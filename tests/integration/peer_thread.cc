#include "tests/integration/peer_thread.h"

#include <string>
#include <utility>

#include "transports/base/check.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::load {
namespace {

constexpr size_t kFloodPieceBytes = 64 * 1024;

// Threading: loop thread only.
class PeerProtocol final : public EchoProtocol, public std::enable_shared_from_this<PeerProtocol> {
 public:
  explicit PeerProtocol(EventLoop& loop) : loop_(loop) {}

  void DataReceived(std::string_view data) override {
    if (is_first_ && data.front() == kFloodRequest) floods_ = true;
    is_first_ = false;
    floods_ ? Flood() : EchoProtocol::DataReceived(data);
  }
  void PauseWriting() override {
    paused_ = true;
    if (!floods_) EchoProtocol::PauseWriting();
  }
  void ResumeWriting() override {
    paused_ = false;
    floods_ ? Flood() : EchoProtocol::ResumeWriting();
  }

 private:
  // A piece each turn, so that the others have theirs.
  void Flood() {
    if (paused_ || transport_ == nullptr) return;
    std::string piece(kFloodPieceBytes, '\0');
    for (char& byte : piece) byte = FloodByte(position_++);
    transport_->Write(piece).IgnoreError();
    if (!paused_) loop_.CallSoon([self = shared_from_this()] { self->Flood(); });
  }

  EventLoop& loop_;
  bool is_first_ = true;
  bool floods_ = false;
  bool paused_ = false;
  uint64_t position_ = 0;
};

}  // namespace

PeerThread::PeerThread() {
  std::promise<Listening> listening;
  std::future<Listening> told = listening.get_future();
  thread_ = std::thread(Run, std::move(listening));
  listening_ = told.get();
}

PeerThread::~PeerThread() {
  listening_.loop->Stop();
  thread_.join();
}

CreateConnectionOptions PeerThread::connect_options() const {
  return {.remote = {.host = "127.0.0.1", .port = listening_.port}};
}

void PeerThread::Run(std::promise<Listening> listening) {
  auto loop = EpollEventLoop::Create();
  CHECK(loop.ok());
  CreateServerOptions options;
  options.hosts = {"127.0.0.1"};
  options.backlog = 4096;
  (*loop)->CreateServer([&] { return std::make_shared<PeerProtocol>(**loop); }, std::move(options),
                        [&](absl::StatusOr<std::shared_ptr<Server>> server) {
                          CHECK(server.ok());
                          listening.set_value({loop->get(), (*server)->Sockets().front().port});
                        });
  (*loop)->RunForever();
}

}  // namespace transportd::load
