// create_datagram_endpoint on a whole loop.
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_datagram_peer.h"
#include "tests/unit/datagram/recording_datagram_protocol.h"
#include "tests/unit/loop/event_loop_fixture.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::IsEmpty;

using EndpointOutcome = Outcome<DatagramEndpoint>;

class CreateDatagramEndpointTest : public EventLoopFixture {
 protected:
  void TearDown() override {
    for (DatagramRecord& record : datagram_records_) {
      if (record.transport != nullptr) record.transport->Abort();
    }
    EventLoopFixture::TearDown();
  }

  void Create(EndpointOutcome& outcome, CreateDatagramEndpointOptions options) {
    outcome.id = loop_->CreateDatagramEndpoint(
        [this] {
          ++factory_count_;
          return std::make_shared<RecordingDatagramProtocol>(record_);
        },
        std::move(options),
        [this, &outcome](absl::StatusOr<DatagramEndpoint> result) {
          ++outcome.done_count;
          outcome.result = std::move(result);
          record_.events.push_back("done");
        });
  }
  // What comes of it.
  EndpointOutcome Run(CreateDatagramEndpointOptions options) {
    EndpointOutcome outcome;
    Create(outcome, std::move(options));
    EXPECT_FALSE(outcome.done()) << "inside the call";
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_EQ(outcome.done_count, 1);
    return outcome;
  }
  static HostPort Host(const std::string& host, uint32_t port = 0) { return {.host = host, .port = port}; }
  SocketAddress Sockname() const { return *record_.transport->GetExtraInfo().sockname; }

  std::deque<DatagramRecord> datagram_records_ = std::deque<DatagramRecord>(1);
  DatagramRecord& record_ = datagram_records_.front();
  int factory_count_ = 0;
};

TEST_F(CreateDatagramEndpointTest, LocalEndBindsAndReceives) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    EndpointOutcome outcome = Run({.local = Host(host)});
    ASSERT_THAT(outcome.status(), IsOk());
    EXPECT_EQ(outcome.value().transport, record_.transport);
    EXPECT_THAT(record_.events, ElementsAre("made", "done"));
    EXPECT_EQ(Sockname().host, host);
    EXPECT_NE(Sockname().port, 0);
    EXPECT_FALSE(record_.transport->RemoteAddress().has_value());
    RawDatagramPeer peer = RawDatagramPeer::OnLoopback(Sockname().family);
    ASSERT_TRUE(peer.SendTo(Sockname(), "x"));
    ASSERT_TRUE(RunUntil([&] { return !record_.received.empty(); }));
    record_.transport->Close();
    ASSERT_TRUE(RunUntil([&] { return record_.lost(); }));
    record_ = DatagramRecord();
  }
}

TEST_F(CreateDatagramEndpointTest, DatagramsWaitForDone) {
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  record_.on_made = [&] { ASSERT_TRUE(peer.SendTo(Sockname(), "early")); };
  Run({.local = Host("127.0.0.1")});
  ASSERT_TRUE(RunUntil([&] { return !record_.received.empty(); }));
  EXPECT_THAT(record_.events, ElementsAre("made", "done", "datagram"));
}

TEST_F(CreateDatagramEndpointTest, RemoteEndConnects) {
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  EndpointOutcome outcome = Run({.local = Host("127.0.0.1"), .remote = Host("127.0.0.1", peer.address().port)});
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(record_.transport->GetExtraInfo().peername, peer.address());
  EXPECT_EQ(record_.transport->RemoteAddress(), peer.address());
  ASSERT_THAT(record_.transport->SendTo("x"), IsOk());
  EXPECT_EQ(peer.Receive()->sender, Sockname());
  // The kernel keeps others out.
  RawDatagramPeer other = RawDatagramPeer::OnLoopback();
  other.SendTo(Sockname(), "stranger");
  ASSERT_TRUE(peer.SendTo(Sockname(), "friend"));
  ASSERT_TRUE(RunUntil([&] { return !record_.received.empty(); }));
  EXPECT_THAT(record_.received, ElementsAre("friend"));
}

TEST_F(CreateDatagramEndpointTest, BroadcastRemembersTheRemoteEnd) {
  RawDatagramPeer peer = RawDatagramPeer::OnLoopback();
  EndpointOutcome outcome = Run({.remote = Host("127.0.0.1", peer.address().port), .allow_broadcast = true});
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_FALSE(record_.transport->GetExtraInfo().peername.has_value());
  EXPECT_EQ(record_.transport->RemoteAddress(), peer.address());
  ASSERT_THAT(record_.transport->SendTo("x"), IsOk());
  EXPECT_EQ(peer.Receive()->data, "x");
}

TEST_F(CreateDatagramEndpointTest, FamilyAloneIsAnUnboundSocket) {
  EndpointOutcome outcome = Run({.family = AddressFamily::kInet, .proto = IPPROTO_UDP});
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(Sockname().ToString(), "0.0.0.0:0");
  record_.transport->Abort();
  ASSERT_TRUE(RunUntil([&] { return record_.lost(); }));
  record_ = DatagramRecord();
  EXPECT_THAT(Run({.family = AddressFamily::kUnix}).status(), IsOk());
  EXPECT_EQ(Sockname().ToString(), "(unnamed)");
}

TEST_F(CreateDatagramEndpointTest, UnixPaths) {
  std::string directory = testing::TempDir() + "/datagram-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/local";
  { ASSERT_TRUE(RawDatagramPeer::OnPath(path).valid()) << "a stale one"; }
  RawDatagramPeer peer = RawDatagramPeer::OnPath(directory + "/peer");
  EndpointOutcome outcome = Run({.local_path = path, .remote_path = directory + "/peer"});
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(Sockname().path, path);
  ASSERT_THAT(record_.transport->SendTo("x"), IsOk());
  EXPECT_EQ(peer.Receive()->sender.path, path);
  ASSERT_TRUE(peer.SendTo(Sockname(), "y"));
  ASSERT_TRUE(RunUntil([&] { return !record_.received.empty(); }));
  EXPECT_EQ(record_.senders[0]->path, directory + "/peer");
  record_.transport->Close();
  ASSERT_TRUE(RunUntil([&] { return record_.lost(); }));
  EXPECT_EQ(::access(path.c_str(), F_OK), 0) << "not unlinked, as in asyncio";
  for (const char* name : {"/local", "/peer"}) ::unlink((directory + name).c_str());
  ::rmdir(directory.c_str());
}

TEST_F(CreateDatagramEndpointTest, AddressesAreTriedInOrder) {
  const RawDatagramPeer used = RawDatagramPeer::OnLoopback(AddressFamily::kInet6);
  resolver_.SetHosts("both", {"::1", "127.0.0.1"});
  EndpointOutcome outcome = Run({.local = Host("both", used.address().port)});
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(Sockname().host, "127.0.0.1");
}

TEST_F(CreateDatagramEndpointTest, BindFailureLeavesNothing) {
  const RawDatagramPeer used = RawDatagramPeer::OnLoopback();
  EXPECT_THAT(Run({.local = Host("127.0.0.1", used.address().port)}).status(), HasReason("EADDRINUSE"));
  EXPECT_EQ(factory_count_, 0);
  EXPECT_THAT(record_.events, ElementsAre("done"));
}

TEST_F(CreateDatagramEndpointTest, ReusePortSharesAPort) {
  CreateDatagramEndpointOptions options{.local = Host("127.0.0.1"), .reuse_port = true};
  EndpointOutcome first = Run(options);
  ASSERT_THAT(first.status(), IsOk());
  options.local->port = Sockname().port;
  DatagramRecord second_record;
  EndpointOutcome second = Run(options);
  EXPECT_THAT(second.status(), IsOk());
  first.value().transport->Abort();
}

TEST_F(CreateDatagramEndpointTest, FamiliesThatDoNotMatch) {
  EXPECT_THAT(Run({.local = Host("127.0.0.1"), .remote = Host("::1", 5)}).status(),
              AllOf(HasReason("NO_MATCHING_LOCAL_ADDRESS"), StatusIs(absl::StatusCode::kInvalidArgument)));
}

TEST_F(CreateDatagramEndpointTest, UnknownNameAndBadArguments) {
  EXPECT_THAT(Run({.remote = Host("nowhere.invalid", 5)}).status(), HasReason("EAI_NONAME"));
  EXPECT_THAT(Run({}).status(), AllOf(HasReason("INVALID_FAMILY"), HasField("family")));
  EXPECT_EQ(factory_count_, 0);
}

TEST_F(CreateDatagramEndpointTest, TimeoutWhileResolving) {
  resolver_.Hold();
  EndpointOutcome outcome;
  Create(outcome, {.remote = Host("slow", 5), .timeout = std::chrono::seconds(3)});
  Turn();
  clock_.Advance(std::chrono::seconds(3));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), AllOf(HasReason("RESOLVE_TIMEOUT"), StatusIs(absl::StatusCode::kDeadlineExceeded)));
  resolver_.AnswerAll();
  Turn();
  EXPECT_EQ(outcome.done_count, 1);
}

TEST_F(CreateDatagramEndpointTest, CancelledAtEveryStep) {
  for (int turns = 0; turns < 6; ++turns) {
    EndpointOutcome outcome;
    Create(outcome, {.local = Host("127.0.0.1")});
    Turn(turns);
    const bool was_done = outcome.done();
    loop_->CancelOperation(outcome.id);
    EXPECT_EQ(outcome.done(), was_done) << "never inside";
    ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
    if (was_done) {
      EXPECT_THAT(outcome.status(), IsOk());
      record_.transport->Abort();
    } else {
      EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
    }
    ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 0; }));
    EXPECT_EQ(outcome.done_count, 1);
    const bool made = record_.transport != nullptr;
    EXPECT_EQ(record_.lost(), made);
    record_ = DatagramRecord();
  }
}

TEST_F(CreateDatagramEndpointTest, CancelledByItsFactory) {
  EndpointOutcome outcome;
  outcome.id = loop_->CreateDatagramEndpoint(
      [&] {
        loop_->CancelOperation(outcome.id);
        return std::make_shared<RecordingDatagramProtocol>(record_);
      },
      {.local_path = std::string("\0transportd-cancel-", 19) + std::to_string(::getpid())},
      [&](absl::StatusOr<DatagramEndpoint> result) {
        ++outcome.done_count;
        outcome.result = std::move(result);
      });
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_THAT(record_.events, IsEmpty());
}

TEST_F(CreateDatagramEndpointTest, OverTheDescriptorLimit) {
  NewLoop(/*descriptor_limit=*/0);
  EXPECT_THAT(Run({.local = Host("127.0.0.1")}).status(), HasReason("EMFILE"));
}

TEST_F(CreateDatagramEndpointTest, LoopThatGoesMeanwhileCallsNobody) {
  resolver_.Hold();
  EndpointOutcome outcome;
  Create(outcome, {.remote = Host("slow", 5)});
  EndpointOutcome other;
  Create(other, {.family = AddressFamily::kInet});
  Turn(2);
  record_.transport.reset();
  CloseLoop();
  resolver_.AnswerAll();
  EXPECT_FALSE(outcome.done());
}

// Two endpoints of one loop that answer each other.
class DatagramEcho final : public DatagramProtocol {
 public:
  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override { transport_ = std::move(transport); }
  void DatagramReceived(std::string_view data, const SocketAddress* address) override {
    EXPECT_THAT(transport_->SendTo(data, address), IsOk());
  }
  void ConnectionLost(const DatagramEnd&) override { transport_.reset(); }

 private:
  std::shared_ptr<DatagramTransport> transport_;
};

TEST_F(CreateDatagramEndpointTest, ThousandEchoes) {
  EndpointOutcome server;
  loop_->CreateDatagramEndpoint([] { return std::make_shared<DatagramEcho>(); }, {.local = Host("::1")},
                                [&](absl::StatusOr<DatagramEndpoint> result) {
                                  ++server.done_count;
                                  server.result = std::move(result);
                                });
  ASSERT_TRUE(RunUntil([&] { return server.done(); }));
  ASSERT_THAT(server.status(), IsOk());
  const SocketAddress address = *server.value().transport->GetExtraInfo().sockname;
  ASSERT_THAT(Run({.remote = Host("::1", address.port)}).status(), IsOk());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(record_.transport->SendTo(std::to_string(i)), IsOk());
    ASSERT_TRUE(RunUntil([&] { return record_.received.size() == static_cast<size_t>(i) + 1; }));
    ASSERT_EQ(record_.received.back(), std::to_string(i));
  }
  server.value().transport->Close();
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 1; }));
}

}  // namespace
}  // namespace transportd
