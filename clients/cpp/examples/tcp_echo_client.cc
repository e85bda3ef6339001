// A TCP echo client. https://docs.python.org/3.13/library/asyncio-protocol.html#tcp-echo-client
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/examples/example_loop.h"

namespace transportd {
namespace {

// Sends a message, prints the answer. Threading: loop thread only.
class EchoClientProtocol final : public Protocol {
 public:
  EchoClientProtocol(EventLoop& loop, std::string message) : loop_(loop), message_(std::move(message)) {}

  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport->Write(message_).IgnoreError();  // Refused only after WriteEof.
    std::printf("Data sent: '%s'\n", message_.c_str());
  }
  void DataReceived(std::string_view data) override { std::printf("Data received: '%s'\n", std::string(data).c_str()); }
  void ConnectionLost(const ConnectionEnd& end) override {
    if (!end.status.ok()) example::Die(end.status);
    std::printf("The server closed the connection\n");
    loop_.Stop();
  }

 private:
  EventLoop& loop_;
  const std::string message_;
};

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  const auto example =
      transportd::example::Begin(argc, argv, "tcp_echo_client [--target=TARGET] [HOST [PORT]]     127.0.0.1 8888");
  transportd::CreateConnectionOptions options;
  options.remote.host = example.Argument(0, "127.0.0.1");
  options.remote.port = static_cast<uint32_t>(std::atoi(example.Argument(1, "8888").c_str()));
  example.loop->CreateConnection(
      [&] { return std::make_shared<transportd::EchoClientProtocol>(*example.loop, "Hello World!"); },
      std::move(options),
      [](const auto& connection) {
        if (!connection.ok()) transportd::example::Die(connection.status());
      });
  example.loop->RunForever();
}
