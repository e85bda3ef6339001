// Client and session in one program, over real sockets: what the two make together.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "clients/cpp/remote_event_loop.h"
#include "gtest/gtest.h"
#include "server/policy/dev_authorizer.h"
#include "server/session/session_manager.h"
#include "tests/conformance/memory_link.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"
#include "transports/base/mutex.h"

namespace transportd {
namespace {

// Sends back what it gets, and says no more than it must when the client does not read. Threading: the test's.
class EchoProtocol final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override { ASSERT_TRUE(transport_->Write(data).ok()); }
  void PauseWriting() override { transport_->PauseReading(); }
  void ResumeWriting() override { transport_->ResumeReading(); }
  void ConnectionLost(const ConnectionEnd& end) override {
    EXPECT_EQ(end.cause, EndCause::kEof);
    EXPECT_EQ(end.dropped_bytes, 0u);
    transport_ = nullptr;
  }

 private:
  std::shared_ptr<Transport> transport_;
};

// Writes `size_bytes` under flow control, ends, and keeps what comes back. Threading: the test's.
class Sender final : public Protocol {
 public:
  explicit Sender(size_t size_bytes) {
    for (size_t i = 0; i < size_bytes; ++i) to_send_.push_back(static_cast<char>(i * 7 + i / 251));
  }
  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    Pump();
  }
  void DataReceived(std::string_view data) override { received_ += data; }
  void PauseWriting() override { paused_ = true; }
  void ResumeWriting() override {
    paused_ = false;
    Pump();
  }
  void ConnectionLost(const ConnectionEnd& end) override {
    end_ = end;
    lost_ = true;
    transport_ = nullptr;
  }

  bool lost() const { return lost_; }
  const ConnectionEnd& end() const { return end_; }
  bool got_it_back() const { return received_ == to_send_; }

 private:
  void Pump() {
    while (!paused_ && sent_ < to_send_.size()) {
      const std::string_view piece = std::string_view(to_send_).substr(sent_, 10'000);
      sent_ += piece.size();
      ASSERT_TRUE(transport_->Write(piece).ok());
    }
    if (sent_ == to_send_.size()) transport_->WriteEof();
  }

  std::shared_ptr<Transport> transport_;
  std::string to_send_;
  size_t sent_ = 0;
  bool paused_ = false;
  std::string received_;
  bool lost_ = false;
  ConnectionEnd end_;
};

// A session manager with one loop thread, and a client loop that is the test's thread.
class RemoteLinkTest : public testing::Test {
 protected:
  void SetUp() override {
    SessionManager::Options options;
    options.authorizer = &authorizer_;
    auto manager = SessionManager::Create(options);
    ASSERT_THAT(manager, IsOk());
    manager_ = *std::move(manager);
    link_ = MakeMemoryLink();
    manager_->OpenStreaming({.principal = "test", .peer = "memory"}, link_.stream);
    link_.stream.reset();
    auto made = RemoteEventLoop::Create(std::move(link_.channel), {.client_name = "test", .clock = nullptr});
    ASSERT_THAT(made, IsOk());
    loop = *std::move(made);
    ASSERT_THAT(loop->WaitOpened(std::chrono::seconds(20)), IsOk());
  }

  void TearDown() override {
    loop.reset();
    Mutex mutex;
    CondVar stopped;
    bool is_stopped = false;
    manager_->Stop([&] {
      MutexLock lock(mutex);
      is_stopped = true;
      stopped.SignalAll();
    });
    {
      MutexLock lock(mutex);
      while (!is_stopped) stopped.Wait(mutex);
    }
    manager_.reset();
  }

  bool RunUntil(const std::function<bool()>& condition) { return transportd::RunUntil(loop->reactor(), condition); }

  SocketAddress Listen(ProtocolFactory factory) {
    CreateServerOptions options;
    options.hosts = {"127.0.0.1"};
    loop->CreateServer(std::move(factory), options, [this](absl::StatusOr<std::shared_ptr<Server>> made) {
      ASSERT_THAT(made, IsOk());
      server = *std::move(made);
    });
    EXPECT_TRUE(RunUntil([this] { return server != nullptr; }));
    return server->Sockets()[0];
  }

  void Connect(const SocketAddress& address, std::shared_ptr<BaseProtocol> protocol) {
    CreateConnectionOptions options;
    options.remote = {.host = address.host, .port = address.port};
    loop->CreateConnection([protocol = std::move(protocol)] { return protocol; }, options,
                           [](const absl::StatusOr<Connection>& connection) { EXPECT_THAT(connection, IsOk()); });
  }

  void BreakLink() { link_.break_link(absl::UnavailableError("cut")); }

  std::unique_ptr<RemoteEventLoop> loop;
  std::shared_ptr<Server> server;

 private:
  DevAuthorizer authorizer_;
  std::unique_ptr<SessionManager> manager_;
  MemoryLink link_;
};

TEST_F(RemoteLinkTest, EveryByteComesBackOnManyConnections) {
  const SocketAddress address = Listen([] { return std::make_shared<EchoProtocol>(); });
  std::vector<std::shared_ptr<Sender>> senders;
  for (const size_t size_bytes :
       {size_t{0}, size_t{1}, size_t{64}, size_t{65'536}, size_t{1'000'000}, size_t{3'000'000}}) {
    senders.push_back(std::make_shared<Sender>(size_bytes));
    Connect(address, senders.back());
  }
  EXPECT_TRUE(RunUntil(
      [&] { return std::all_of(senders.begin(), senders.end(), [](const auto& sender) { return sender->lost(); }); }));
  for (const auto& sender : senders) {
    EXPECT_TRUE(sender->got_it_back());
    EXPECT_EQ(sender->end().cause, EndCause::kEof);
    EXPECT_EQ(sender->end().sent_bytes, sender->end().received_bytes);
  }
  bool ended = false;
  server->WaitClosed([&] { ended = true; });
  server->Close();
  EXPECT_TRUE(RunUntil([&] { return ended; }));
  EXPECT_EQ(loop->GetCounts().transports, 0u);
  EXPECT_EQ(loop->GetCounts().servers, 0u);
  EXPECT_EQ(loop->GetCounts().operations, 0u);
}

TEST_F(RemoteLinkTest, RefusedConnectionCarriesTheErrno) {
  const SocketAddress address = Listen([] { return std::make_shared<EchoProtocol>(); });
  bool closed = false;
  server->Close([&] { closed = true; });
  ASSERT_TRUE(RunUntil([&] { return closed; }));
  absl::Status status;
  CreateConnectionOptions options;
  options.remote = {.host = "127.0.0.1", .port = address.port};
  loop->CreateConnection([] { return std::make_shared<EchoProtocol>(); }, options,
                         [&](const auto& connection) { status = connection.status(); });
  ASSERT_TRUE(RunUntil([&] { return !status.ok(); }));
  EXPECT_THAT(status, HasReason("ECONNREFUSED"));
  EXPECT_EQ(ToTransportError(status).errno_number, 111);
}

TEST_F(RemoteLinkTest, CutLinkIsALostSession) {
  class Holder final : public Protocol {
   public:
    explicit Holder(int& lost_count) : lost_count_(lost_count) {}
    void ConnectionMade(std::shared_ptr<Transport> made) override { transport_ = std::move(made); }
    void ConnectionLost(const ConnectionEnd& end) override {
      EXPECT_EQ(end.cause, EndCause::kSessionLost);
      EXPECT_THAT(end.status, HasReason("SESSION_LOST"));
      transport_ = nullptr;
      ++lost_count_;
    }

   private:
    int& lost_count_;
    std::shared_ptr<Transport> transport_;
  };
  int lost_count = 0;
  const SocketAddress address = Listen([&] { return std::make_shared<Holder>(lost_count); });
  Connect(address, std::make_shared<Holder>(lost_count));
  ASSERT_TRUE(RunUntil([&] { return loop->GetCounts().transports == 2 && loop->GetCounts().operations == 0; }));
  BreakLink();
  ASSERT_TRUE(RunUntil([&] { return lost_count == 2; }));
  EXPECT_EQ(loop->GetCounts().transports, 0u);
  EXPECT_EQ(loop->GetCounts().servers, 0u);
}

}  // namespace
}  // namespace transportd
