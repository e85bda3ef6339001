// A UDP echo server. https://docs.python.org/3.13/library/asyncio-protocol.html#udp-echo-server
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/examples/example_loop.h"

namespace transportd {
namespace {

// Sends every datagram back to where it came from. Threading: loop thread only.
class EchoServerProtocol final : public DatagramProtocol {
 public:
  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override { transport_ = std::move(transport); }

  void DatagramReceived(std::string_view data, const SocketAddress* address) override {
    const std::string message(data);
    std::printf("Received '%s' from %s\n", message.c_str(), address->host.c_str());
    std::printf("Send '%s' to %s\n", message.c_str(), address->host.c_str());
    std::fflush(stdout);
    transport_->SendTo(data, address).IgnoreError();  // Refused only by an endpoint with a remote address.
  }

 private:
  std::shared_ptr<DatagramTransport> transport_;
};

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  const auto example =
      transportd::example::Begin(argc, argv, "udp_echo_server [--target=TARGET] [HOST [PORT]]     127.0.0.1 9999");
  transportd::CreateDatagramEndpointOptions options;
  options.local = {.host = example.Argument(0, "127.0.0.1"),
                   .port = static_cast<uint32_t>(std::atoi(example.Argument(1, "9999").c_str()))};
  example.loop->CreateDatagramEndpoint(
      [] { return std::make_shared<transportd::EchoServerProtocol>(); }, std::move(options),
      [](const auto& endpoint) {
        if (!endpoint.ok()) transportd::example::Die(endpoint.status());
        std::printf("Serving on %s\n", endpoint->transport->GetExtraInfo().sockname->ToString().c_str());
        std::fflush(stdout);
      });
  example.loop->RunForever();
}
