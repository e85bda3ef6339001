// A TCP echo server on the embedded event loop: transports/ used as a library, without the service.
//
//   echo_server [HOST]        prints the port that it listens on; HOST is 127.0.0.1 unless told otherwise

#include <cstdio>
#include <memory>
#include <utility>

#include "transports/loop/epoll_event_loop.h"

namespace {

// Sends back what it receives; stops reading while the peer does not take it.
class EchoProtocol final : public transportd::Protocol {
 public:
  void ConnectionMade(std::shared_ptr<transportd::Transport> transport) override { transport_ = std::move(transport); }
  // Never refused: WriteEof is not called.
  void DataReceived(std::string_view data) override { static_cast<void>(transport_->Write(data)); }
  void PauseWriting() override { transport_->PauseReading(); }
  void ResumeWriting() override { transport_->ResumeReading(); }
  void ConnectionLost(const transportd::ConnectionEnd&) override { transport_.reset(); }

 private:
  std::shared_ptr<transportd::Transport> transport_;
};

}  // namespace

int main(int argc, char** argv) {
  auto loop = transportd::EpollEventLoop::Create();
  if (!loop.ok()) {
    std::fprintf(stderr, "%s\n", loop.status().ToString().c_str());
    return 1;
  }
  int exit_status = 0;
  transportd::CreateServerOptions options;
  options.hosts = {argc > 1 ? argv[1] : "127.0.0.1"};
  (*loop)->CreateServer([] { return std::make_shared<EchoProtocol>(); }, std::move(options),
                        [&](auto server) {
                          if (!server.ok()) {
                            std::fprintf(stderr, "%s\n", server.status().ToString().c_str());
                            exit_status = 1;
                            (*loop)->Stop();
                            return;
                          }
                          std::printf("%u\n", static_cast<unsigned>((*server)->Sockets().front().port));
                          std::fflush(stdout);
                        });
  (*loop)->RunForever();
  return exit_status;
}
