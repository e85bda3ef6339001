#include <cstdio>
#include <memory>
#include <string>

#include "tests/integration/load.h"
#include "tests/integration/peer_thread.h"

namespace transportd::load {
namespace {

// Threading: loop thread only.
class FloodProtocol final : public Protocol, public std::enable_shared_from_this<FloodProtocol> {
 public:
  explicit FloodProtocol(EventLoop& loop) : loop_(loop) {}

  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    Flood();
  }
  void PauseWriting() override { paused_ = true; }
  void ResumeWriting() override {
    paused_ = false;
    Flood();
  }
  void ConnectionLost(const ConnectionEnd&) override {
    transport_.reset();
    loop_.Stop();
  }

 private:
  void Flood() {
    if (paused_ || transport_ == nullptr) return;
    transport_->Write(piece_).IgnoreError();
    if (!paused_) loop_.CallSoon([self = shared_from_this()] { self->Flood(); });
  }

  EventLoop& loop_;
  const std::string piece_ = std::string(32 * 1024, 'x');
  std::shared_ptr<Transport> transport_;
  bool paused_ = false;
};

}  // namespace

int RunServe(EventLoop& loop) {
  CreateServerOptions options;
  options.hosts = {"127.0.0.1"};
  options.backlog = 4096;
  std::shared_ptr<Server> serving;
  loop.CreateServer([] { return std::make_shared<EchoProtocol>(); }, std::move(options),
                    [&](absl::StatusOr<std::shared_ptr<Server>> server) {
                      if (!server.ok()) return loop.Stop();
                      serving = *std::move(server);
                      std::printf("%u\n", static_cast<unsigned>(serving->Sockets().front().port));
                      std::fflush(stdout);
                    });
  loop.RunForever();
  return 1;
}

int RunFlood(EventLoop& loop, uint32_t port) {
  loop.CreateConnection([&loop] { return std::make_shared<FloodProtocol>(loop); },
                        {.remote = {.host = "127.0.0.1", .port = port}},
                        [&](const absl::StatusOr<Connection>& connection) {
                          if (!connection.ok()) loop.Stop();
                        });
  loop.RunForever();
  return 1;
}

}  // namespace transportd::load
