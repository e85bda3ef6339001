#include "transports/loop/epoll_event_loop.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

using testing::ElementsAre;

class EchoProtocol final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override { EXPECT_THAT(transport_->Write(data), IsOk()); }
  void PauseWriting() override { transport_->PauseReading(); }
  void ResumeWriting() override { transport_->ResumeReading(); }
  void ConnectionLost(const ConnectionEnd&) override { transport_.reset(); }

 private:
  std::shared_ptr<Transport> transport_;
};

TEST(EpollEventLoop, RunsCallbacksAndTimersUntilStopped) {
  const auto loop = *EpollEventLoop::Create();
  std::vector<int> order;
  const TimerId cancelled = loop->CallLater(std::chrono::milliseconds(1), [&] { order.push_back(99); });
  loop->CallSoon([&] { order.push_back(1); });
  std::thread other([&] {
    loop->CallSoonThreadsafe([&] {
      order.push_back(2);
      loop->CallAt(loop->Time() + std::chrono::milliseconds(2), [&] {
        order.push_back(3);
        loop->Stop();
      });
    });
  });
  other.join();
  EXPECT_TRUE(loop->CancelTimer(cancelled));
  loop->RunForever();
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

// The loop on its own thread, real names, real clock; clients on this one.
TEST(EpollEventLoop, EchoesOnItsOwnThread) {
  const auto loop = *EpollEventLoop::Create();
  std::atomic<uint16_t> port = 0;
  std::shared_ptr<Server> server;
  CreateServerOptions options;
  options.hosts = {"localhost"};
  options.family = AddressFamily::kInet;
  loop->CreateServer([] { return std::make_shared<EchoProtocol>(); }, std::move(options),
                     [&](auto result) {
                       ASSERT_THAT(result, IsOk());
                       server = *result;
                       port = server->Sockets()[0].port;
                       port.notify_all();
                     });
  std::thread thread([&] { loop->RunForever(); });
  port.wait(0);
  SocketAddress address;
  address.family = AddressFamily::kInet;
  address.host = "127.0.0.1";
  address.port = port;
  std::vector<RawPeer> peers;
  for (int i = 0; i < 20; ++i) peers.push_back(RawPeer::Connect(address));
  for (size_t i = 0; i < peers.size(); ++i) ASSERT_TRUE(peers[i].Send(std::string(1000 + i, 'a')));
  for (size_t i = 0; i < peers.size(); ++i) {
    ASSERT_TRUE(peers[i].RecvAtLeast(1000 + i));
    EXPECT_EQ(peers[i].received(), std::string(1000 + i, 'a'));
  }
  loop->CallSoonThreadsafe([&] {
    server->Close();
    server->AbortClients([](size_t count) { EXPECT_EQ(count, 20u); });
    server->WaitClosed([&] { loop->Stop(); });
  });
  thread.join();
  for (RawPeer& peer : peers) EXPECT_TRUE(peer.RecvToEof());
}

TEST(EpollEventLoop, ConnectsToARealName) {
  const auto loop = *EpollEventLoop::Create();
  RawListener listener;
  absl::Status status = absl::UnknownError("not called");
  CreateConnectionOptions options;
  options.remote = {.host = "localhost", .port = listener.address().port};
  options.happy_eyeballs_delay = std::chrono::milliseconds(250);
  loop->CreateConnection([] { return std::make_shared<EchoProtocol>(); }, std::move(options),
                         [&](absl::StatusOr<Connection> result) {
                           status = result.status();
                           loop->Stop();
                         });
  loop->RunForever();
  EXPECT_THAT(status, IsOk());
  EXPECT_EQ(loop->GetCounts().operations, 0u);
  EXPECT_EQ(loop->GetCounts().transports, 1u);
}

}  // namespace
}  // namespace transportd
