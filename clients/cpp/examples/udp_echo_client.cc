// A UDP echo client. https://docs.python.org/3.13/library/asyncio-protocol.html#udp-echo-client
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/examples/example_loop.h"

namespace transportd {
namespace {

// Sends a datagram, prints the answer, closes. Threading: loop thread only.
class EchoClientProtocol final : public DatagramProtocol {
 public:
  EchoClientProtocol(EventLoop& loop, std::string message) : loop_(loop), message_(std::move(message)) {}

  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override {
    transport_ = std::move(transport);
    std::printf("Send: %s\n", message_.c_str());
    transport_->SendTo(message_).IgnoreError();  // Refused only with another address.
  }
  void DatagramReceived(std::string_view data, const SocketAddress* /*address*/) override {
    std::printf("Received: %s\n", std::string(data).c_str());
    std::printf("Close the socket\n");
    transport_->Close();
  }
  void ErrorReceived(const absl::Status& status) override { example::Die(status); }
  void ConnectionLost(const DatagramEnd& /*end*/) override {
    std::printf("Connection closed\n");
    loop_.Stop();
  }

 private:
  EventLoop& loop_;
  const std::string message_;
  std::shared_ptr<DatagramTransport> transport_;
};

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  const auto example =
      transportd::example::Begin(argc, argv, "udp_echo_client [--target=TARGET] [HOST [PORT]]     127.0.0.1 9999");
  transportd::CreateDatagramEndpointOptions options;
  options.remote = {.host = example.Argument(0, "127.0.0.1"),
                    .port = static_cast<uint32_t>(std::atoi(example.Argument(1, "9999").c_str()))};
  example.loop->CreateDatagramEndpoint(
      [&] { return std::make_shared<transportd::EchoClientProtocol>(*example.loop, "Hello World!"); },
      std::move(options),
      [](const auto& endpoint) {
        if (!endpoint.ok()) transportd::example::Die(endpoint.status());
      });
  example.loop->RunForever();
}
