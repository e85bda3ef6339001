// Waits for data on a socket that exists already: one end of a pair.
// https://docs.python.org/3.13/library/asyncio-protocol.html#connecting-existing-sockets
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/examples/example_loop.h"

namespace transportd {
namespace {

// Prints what it receives, and closes. Threading: loop thread only.
class ReaderProtocol final : public Protocol {
 public:
  explicit ReaderProtocol(EventLoop& loop) : loop_(loop) {}

  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override {
    std::printf("Received: %s\n", std::string(data).c_str());
    transport_->Close();
  }
  void ConnectionLost(const ConnectionEnd& /*end*/) override { loop_.Stop(); }

 private:
  EventLoop& loop_;
  std::shared_ptr<Transport> transport_;
};

// Stands for somebody else who holds the other end, and writes. Threading: loop thread only.
class WriterProtocol final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport->Write("abc").IgnoreError();  // Refused only after WriteEof.
    transport->Close();
  }
};

void ConnectBoth(EventLoop& loop, const SocketPair& pair) {
  const auto or_die = [](const auto& connection) {
    if (!connection.ok()) example::Die(connection.status());
  };
  CreateConnectionOptions reader;
  reader.sock = pair.first;
  loop.CreateConnection([&loop] { return std::make_shared<ReaderProtocol>(loop); }, std::move(reader), or_die);
  CreateConnectionOptions writer;
  writer.sock = pair.second;
  loop.CreateConnection([] { return std::make_shared<WriterProtocol>(); }, std::move(writer), or_die);
}

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  const auto example = transportd::example::Begin(argc, argv, "existing_socket [--target=TARGET]");
  example.loop->Socketpair({}, [&](const auto& pair) {
    if (!pair.ok()) transportd::example::Die(pair.status());
    transportd::ConnectBoth(*example.loop, *pair);
  });
  example.loop->RunForever();
}
