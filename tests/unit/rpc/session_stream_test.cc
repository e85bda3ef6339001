#include "server/rpc/session_stream.h"

#include <random>
#include <thread>

#include "tests/unit/rpc/rpc_fixture.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {
namespace {

constexpr char kSession[] = "/transportd.v1.EventLoop/Session";
constexpr char kCallbacks[] = "/transportd.v1.EventLoop/Callbacks";

using Behaviour = FakeSessionManager::Behaviour;
using SessionStreamTest = RpcFixture;

TEST_F(SessionStreamTest, FramesGoBothWaysUnchanged) {
  RawStream stream(channel_, kSession);
  for (size_t size : {0u, 1u, 1000u, 16'384u, 65'536u}) {
    const std::string frame(size, 'f');
    ASSERT_TRUE(stream.Write(frame));
    std::string echo;
    ASSERT_TRUE(stream.Read(echo));
    EXPECT_EQ(echo, frame);
  }
  stream.HalfClose();
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  EXPECT_TRUE(stream.Finish().ok());
  manager_.WaitForNoSession();
  EXPECT_EQ(manager_.half_closed_count(), 1);
  EXPECT_EQ(manager_.lost_count(), 0);
}

TEST_F(SessionStreamTest, FinishCarriesTheStatus) {
  RawStream stream(channel_, kSession);
  ASSERT_TRUE(stream.Write("finish"));
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "ASKED_FOR: as asked");
  EXPECT_FALSE(status.error_details().empty());
}

TEST_F(SessionStreamTest, FrameUnderWayGoesOutBeforeTheStatus) {
  RawStream stream(channel_, kSession);
  ASSERT_TRUE(stream.Write("finish after"));
  std::string last;
  ASSERT_TRUE(stream.Read(last));
  EXPECT_EQ(last, "finish after");
  EXPECT_FALSE(stream.Read(last));
  EXPECT_TRUE(stream.Finish().ok());
}

TEST_F(SessionStreamTest, RefusalBeforeStartIsTheStatus) {
  manager_.SetBehaviour(Behaviour::kRefuse);
  RawStream stream(channel_, kSession);
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  EXPECT_EQ(stream.Finish().error_message(), "SERVICE_STOPPING: the service is stopping");
}

TEST_F(SessionStreamTest, FrameThatIsTooLargeEndsTheStream) {
  RawStream stream(channel_, kSession);
  ASSERT_TRUE(stream.Write(std::string(kMaxFrameBytes + 1, 'x')));
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message().rfind("FRAME_TOO_LARGE: ", 0), 0u) << status.error_message();
  manager_.WaitForNoSession();
  EXPECT_EQ(manager_.lost_count(), 1);
}

TEST_F(SessionStreamTest, FrameThatIsFarTooLargeEndsTheStream) {
  RawStream stream(channel_, kSession);
  stream.Write(std::string(10 * kMaxFrameBytes, 'x'));
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  manager_.WaitForNoSession();
}

TEST_F(SessionStreamTest, FrameThatIsTooLargeEndsAStreamThatIsWriting) {
  manager_.SetBehaviour(Behaviour::kFlood);
  RawStream stream(channel_, kSession);
  ASSERT_TRUE(stream.Write(std::string(kMaxFrameBytes + 1, 'x')));
  std::string frame;
  while (stream.Read(frame)) {
  }
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  manager_.WaitForNoSession();
  EXPECT_EQ(manager_.lost_count(), 1);
}

TEST_F(SessionStreamTest, CancellationIsALostStream) {
  {
    RawStream stream(channel_, kSession);
    ASSERT_TRUE(stream.Write("x"));
    std::string echo;
    ASSERT_TRUE(stream.Read(echo));
    stream.Cancel();
    EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // The read fails as it does at a half-close, which may be noticed first.
  manager_.WaitForNoSession();
  EXPECT_EQ(manager_.lost_count() + manager_.half_closed_count(), 1);
}

TEST_F(SessionStreamTest, ClientThatNeverReadsIsLostWhenItsConnectionIs) {
  manager_.SetBehaviour(Behaviour::kFlood);
  auto channel = NewChannel();
  auto stream = std::make_unique<RawStream>(channel, kSession);
  manager_.WaitForOpened(1);
  std::string frame;
  ASSERT_TRUE(stream->Read(frame));
  stream.reset();
  channel.reset();
  manager_.WaitForNoSession();
}

// Ending a session may take long, and must not hold up a gRPC thread, which has other sessions to serve.
TEST_F(SessionStreamTest, TheEndIsTheLoopsOwnWork) {
  for (int i = 0; i < 20; ++i) {
    RawStream stream(channel_, kSession);
    std::string echo;
    ASSERT_TRUE(stream.Write("short") && stream.Read(echo));
    if (i % 2 == 0) {
      stream.HalfClose();
      EXPECT_FALSE(stream.Read(echo));
    } else {
      stream.Cancel();
    }
    stream.Finish();
    manager_.WaitForNoSession();
  }
  EXPECT_EQ(manager_.half_closed_count() + manager_.lost_count(), 20);
  EXPECT_EQ(manager_.ended_elsewhere_count(), 0);
}

TEST_F(SessionStreamTest, CallbacksStreamIsWrittenOnly) {
  v1::CallbacksRequest request;
  request.set_session_id("known");
  RawStream stream(channel_, kCallbacks);
  ASSERT_TRUE(stream.Write(request.SerializeAsString()));
  stream.HalfClose();
  std::string frame;
  ASSERT_TRUE(stream.Read(frame));
  EXPECT_EQ(frame, "xxx");
  stream.Cancel();
  (void)stream.Finish();
  manager_.WaitForNoSession();
  EXPECT_EQ(manager_.lost_count(), 1);
  EXPECT_EQ(manager_.half_closed_count(), 0);
}

TEST_F(SessionStreamTest, CallbacksRefusalIsTheStatus) {
  v1::CallbacksRequest request;
  request.set_session_id("unknown");
  RawStream stream(channel_, kCallbacks);
  ASSERT_TRUE(stream.Write(request.SerializeAsString()));
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(SessionStreamTest, ServerStopsUnderOpenStreams) {
  manager_.SetBehaviour(Behaviour::kFlood);
  RawStream reading(channel_, kSession);
  RawStream silent(channel_, kSession);
  manager_.WaitForOpened(2);
  std::string frame;
  ASSERT_TRUE(reading.Read(frame));
  StopServer();
  manager_.WaitForNoSession();
  EXPECT_EQ(manager_.lost_count() + manager_.half_closed_count(), 2);
  while (reading.Read(frame)) {
  }
  EXPECT_FALSE(reading.Finish().ok());
}

// Clients that vanish at any time: with a read, a write, both or nothing under way, in either direction.
TEST_F(SessionStreamTest, ClientsVanishAtAnyTime) {
  constexpr int kThreads = 4;
  constexpr int kStreamsPerThread = 60;
  for (const Behaviour behaviour : {Behaviour::kEcho, Behaviour::kFlood}) {
    manager_.SetBehaviour(behaviour);
    std::vector<std::thread> clients;
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([this, t, behaviour] {
        std::minstd_rand random(static_cast<unsigned>(t) + 1);
        auto channel = NewChannel();
        for (int i = 0; i < kStreamsPerThread; ++i) {
          if (random() % 8 == 0) channel = NewChannel();
          RawStream stream(channel, kSession);
          const unsigned long steps = random() % 4;
          std::string frame;
          for (unsigned long k = 0; k < steps; ++k) {
            if (!stream.Write(std::string(random() % kMaxFrameBytes, 'v'))) break;
            if (behaviour == Behaviour::kEcho || random() % 2 == 0) stream.Read(frame);
          }
          switch (random() % 4) {
            case 0:
              stream.HalfClose();
              break;
            case 1:
              stream.Write("finish");
              break;
            default:
              break;
          }
          // Cancelled by its end.
        }
      });
    }
    for (auto& client : clients) client.join();
    manager_.WaitForNoSession();
  }
}

}  // namespace
}  // namespace transportd
