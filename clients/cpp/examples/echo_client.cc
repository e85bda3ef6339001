// The smallest client: connects through the service, sends a line, prints what comes back.
//   echo_client HOST PORT [TEXT]
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/connect.h"

namespace {

// Runs on a RemoteEventLoop as it runs on an EpollEventLoop. Threading: loop thread only.
class Echo final : public transportd::Protocol {
 public:
  Echo(transportd::EventLoop& loop, std::string text) : loop_(loop), text_(std::move(text)) {}

  void ConnectionMade(std::shared_ptr<transportd::Transport> transport) override {
    transport->Write(text_).IgnoreError();
    transport->WriteEof();
  }
  void DataReceived(std::string_view data) override { std::fwrite(data.data(), 1, data.size(), stdout); }
  void ConnectionLost(const transportd::ConnectionEnd& end) override {
    std::fprintf(stderr, "%s\n", std::string(transportd::EndCauseName(end.cause)).c_str());
    loop_.Stop();
  }

 private:
  transportd::EventLoop& loop_;
  const std::string text_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s HOST PORT [TEXT]\n", argv[0]);
    return 2;
  }
  auto loop = transportd::ConnectRemoteEventLoop();
  if (!loop.ok()) {
    std::fprintf(stderr, "%s\n", loop.status().ToString().c_str());
    return 1;
  }
  bool connected = true;
  transportd::CreateConnectionOptions options;
  options.remote.host = argv[1];
  options.remote.port = static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10));
  (*loop)->CreateConnection([&] { return std::make_shared<Echo>(**loop, argc > 3 ? argv[3] : "hello\n"); }, options,
                            [&](const absl::StatusOr<transportd::Connection>& connection) {
                              if (connection.ok()) return;
                              std::fprintf(stderr, "%s\n", connection.status().ToString().c_str());
                              connected = false;
                              (*loop)->Stop();
                            });
  (*loop)->RunForever();
  return connected ? 0 : 1;
}
