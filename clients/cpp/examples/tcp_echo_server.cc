// A TCP echo server. https://docs.python.org/3.13/library/asyncio-protocol.html#tcp-echo-server
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/examples/example_loop.h"

namespace transportd {
namespace {

// Sends the first message back, and closes. Threading: loop thread only.
class EchoServerProtocol final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    std::printf("Connection from %s\n", transport_->GetExtraInfo().peername->host.c_str());
  }

  void DataReceived(std::string_view data) override {
    const std::string message(data);
    std::printf("Data received: '%s'\n", message.c_str());
    std::printf("Send: '%s'\n", message.c_str());
    transport_->Write(data).IgnoreError();  // Refused only after WriteEof.
    std::printf("Close the client socket\n");
    std::fflush(stdout);
    transport_->Close();
  }

 private:
  std::shared_ptr<Transport> transport_;
};

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  const auto example =
      transportd::example::Begin(argc, argv, "tcp_echo_server [--target=TARGET] [HOST [PORT]]     127.0.0.1 8888");
  transportd::CreateServerOptions options;
  options.hosts = {example.Argument(0, "127.0.0.1")};
  options.port = static_cast<uint32_t>(std::atoi(example.Argument(1, "8888").c_str()));
  example.loop->CreateServer([] { return std::make_shared<transportd::EchoServerProtocol>(); }, std::move(options),
                             [](const auto& server) {
                               if (!server.ok()) transportd::example::Die(server.status());
                               std::printf("Serving on %s\n", (*server)->Sockets().front().ToString().c_str());
                               std::fflush(stdout);
                             });
  example.loop->RunForever();
}
